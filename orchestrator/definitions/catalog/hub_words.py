"""What the two descriptions of a Hugging Face-style folder mean for photos: honoured whole, or refused.

`config.json` says what the model answers, `preprocessor_config.json` how its authors prepare photos. Each key of the
second is known here, or the folder is refused: what is ignored would show only as a bad accuracy. The defaults are
those of the library's classes where all that are taken here agree; elsewhere the folder has to say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.definitions.catalog.preparation import Described, PreparationFault

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
_TASK = "ForImageClassification"
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers."""
_SQUARE = frozenset(("ViT", "DeiT", "Beit", "EfficientNet"))
"""Families whose `size` as one number is both sides; of the others it is the short one."""
_NO_CROP = frozenset(("ViT", "ConvNext", "ConvNeXT"))
"""Families that never cut; the others have to say it."""
_FAMILIES = _SQUARE | _NO_CROP | {"Bit", "CLIP", "MobileNetV1", "MobileNetV2"}
_ENDINGS = ("ImageProcessorFast", "ImageProcessor", "FeatureExtractor")
_SAY_NOTHING = frozenset(
    ["image_processor_type", "feature_extractor_type", "processor_class", "_processor_class", "_valid_processor_keys",
     "return_tensors", "input_data_format", "device", "disable_grouping", "default_to_square", "do_convert_rgb"]
)  # fmt: skip
_HONOURED = frozenset(
    ["do_resize", "size", "resample", "crop_pct", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
     "do_normalize", "image_mean", "image_std", "do_flip_channel_order", "data_format"]
)  # fmt: skip
_OFF = (None, False)


def labels_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels in the order of the model's answers. Raises `PreparationFault` for another task."""
    architectures = config.get("architectures")
    names = [str(each) for each in architectures] if isinstance(architectures, list) else []
    if not any(name.endswith(_TASK) for name in names):
        what = ", ".join(names)[:100] or "no architecture"
        raise PreparationFault(
            f"{CONFIG} says {what}; mlorch's own harness classifies images (`…{_TASK}`)",
            "another task needs a harness of your own: docs/add-a-harness.md",
        )
    if config.get("problem_type") not in {None, "single_label_classification"}:
        raise PreparationFault(
            f"{CONFIG} says `problem_type: {config['problem_type']}`; what is scored is one label for a photo",
            "another metric needs a harness of your own: docs/add-a-harness.md",
        )
    given = config.get("id2label")
    if not isinstance(given, dict) or not given:
        raise PreparationFault(f"{CONFIG} has no `id2label`", "write it: what each of the model's answers means")
    found = [given.get(str(number)) for number in range(len(given))]
    if not all(isinstance(each, str) and each and "\n" not in each for each in found):
        raise PreparationFault(f"`id2label` of {CONFIG} is no map of 0, 1, 2 … to labels", "number them from 0")
    return tuple(str(each) for each in found)


def described(preprocessor: Mapping[str, Any] | None) -> Described:
    """How photos are prepared, as the folder says. Raises `PreparationFault` for what cannot be honoured."""
    if preprocessor is None:
        return Described()
    family = _family(preprocessor)
    _require_honoured(preprocessor)
    size, resize = _sizes(preprocessor, family)
    mean, std = _normal(preprocessor)
    resample = preprocessor.get("resample")
    if resize and resample is None:
        raise _unsaid("resample")
    if resample is not None and resample not in _RESAMPLE:
        raise PreparationFault(f"`resample: {resample}` of {PREPROCESSOR} is no filter of Pillow", "it is 0 to 5")
    return Described(
        whose=PREPROCESSOR,
        size=size,
        resize=resize,
        resample=None if resample is None else _RESAMPLE[resample],
        scale=_number(preprocessor, "rescale_factor", 1 / 255) if _is_on(preprocessor, "do_rescale") else 1.0,
        mean=mean,
        std=std,
        channels="BGR" if preprocessor.get("do_flip_channel_order") else None,
        layout="NHWC" if preprocessor.get("data_format") == "channels_last" else "NCHW",
    )


def _family(preprocessor: Mapping[str, Any]) -> str:
    name = str(preprocessor.get("image_processor_type") or preprocessor.get("feature_extractor_type") or "")
    family = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), "")
    if family not in _FAMILIES:
        raise PreparationFault(
            f"{PREPROCESSOR} is for `{name[:60] or 'nothing'}`, whose steps mlorch does not know",
            f"known: {', '.join(sorted(_FAMILIES))}; or take the file away and say the steps in the recipe",
        )
    return family


def _require_honoured(preprocessor: Mapping[str, Any]) -> None:
    for key, value in preprocessor.items():
        if key not in _SAY_NOTHING | _HONOURED and value not in _OFF:
            raise PreparationFault(
                f"`{key}: {str(value)[:60]}` of {PREPROCESSOR} is a step that mlorch does not do",
                "take the file away and say in the recipe how photos are prepared, if that comes to the same",
            )
    if preprocessor.get("do_convert_rgb") is False:
        raise PreparationFault(f"`do_convert_rgb: false` of {PREPROCESSOR}: photos are always turned to RGB", "")
    if preprocessor.get("data_format") not in {None, "channels_first", "channels_last"}:
        raise PreparationFault(f"`data_format` of {PREPROCESSOR} is neither channels_first nor channels_last", "")


def _sizes(preprocessor: Mapping[str, Any], family: str) -> tuple[tuple[int, int] | None, tuple[int, ...]]:
    """What is cut out in the end, and what a photo is resized to before."""
    size = _sides(preprocessor, "size", family in _SQUARE) if _is_on(preprocessor, "do_resize") else ()
    if family in {"ConvNext", "ConvNeXT"} and len(size) == 1:
        return _convnext(preprocessor, size[0])
    if preprocessor.get("crop_pct") is not None:
        raise PreparationFault(f"`crop_pct` of {PREPROCESSOR} belongs to ConvNext only", "")
    if "do_center_crop" not in preprocessor and family not in _NO_CROP:
        raise _unsaid("do_center_crop")
    if preprocessor.get("do_center_crop"):
        crop = _sides(preprocessor, "crop_size", square=True)
        return (crop[0], crop[-1]), size
    if len(size) == 2:
        return (size[0], size[1]), size
    if len(size) == 1:
        raise PreparationFault(
            f"{PREPROCESSOR} resizes the short side and cuts nothing: photos would have many shapes",
            "say `size: [HEIGHT, WIDTH]` and `short_side` or `resize` under `dataset`, with a folder without that file",
        )
    return None, ()


def _convnext(preprocessor: Mapping[str, Any], side: int) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Below 384 pixels it resizes to more and cuts, from there on it stretches."""
    if side >= 384:
        return (side, side), (side, side)
    share = _number(preprocessor, "crop_pct", 0)
    if not 0 < share <= 1:
        raise _unsaid("crop_pct")
    return (side, side), (int(side / share),)


def _sides(preprocessor: Mapping[str, Any], key: str, square: bool) -> tuple[int, ...]:  # noqa: FBT001 (a table's)
    """One number (the short side) or height and width."""
    given = preprocessor.get(key)
    if isinstance(given, dict) and set(given) == {"shortest_edge"}:
        found = [given["shortest_edge"]]
    elif isinstance(given, dict) and set(given) == {"height", "width"}:
        found = [given["height"], given["width"]]
    elif isinstance(given, int):
        found = [given, given] if square else [given]
    elif given is None:
        raise _unsaid(key)
    else:
        raise PreparationFault(f"`{key}: {str(given)[:60]}` of {PREPROCESSOR} is a size that mlorch does not know", "")
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 < each <= 16384 for each in found):
        raise PreparationFault(f"`{key}: {str(given)[:60]}` of {PREPROCESSOR} is no number of pixels", "")
    return tuple(found)


def _normal(preprocessor: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not _is_on(preprocessor, "do_normalize"):
        return (), ()
    found = []
    for key in ("image_mean", "image_std"):
        given = preprocessor.get(key)
        if given is None:
            raise _unsaid(key)
        numbers = given if isinstance(given, list) else [given]
        if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
            raise PreparationFault(f"`{key}` of {PREPROCESSOR} is no list of numbers", "")
        found.append(tuple(float(each) for each in numbers))
    mean, std = found
    if len(mean) != len(std) or len(mean) not in {1, 3} or not all(each > 0 for each in std):
        raise PreparationFault(
            f"`image_mean` and `image_std` of {PREPROCESSOR} do not go together", "three numbers each"
        )
    return mean, std


def _is_on(preprocessor: Mapping[str, Any], key: str) -> bool:
    """Whether a step is done; every class that is taken here does it where nothing is said."""
    return bool(preprocessor.get(key, True))


def _number(preprocessor: Mapping[str, Any], key: str, default: float) -> float:
    given = preprocessor.get(key, default)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1e9:
        raise PreparationFault(f"`{key}: {str(given)[:60]}` of {PREPROCESSOR} is no number", "")
    return float(given)


def _unsaid(key: str) -> PreparationFault:
    return PreparationFault(
        f"{PREPROCESSOR} does not say `{key}`, and its classes differ in what they do then",
        f"write `{key}` there, as the model's authors prepare photos",
    )
