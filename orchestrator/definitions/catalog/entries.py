"""The catalogue: look-ups by name, templates, locks and the files that recipes name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from orchestrator.definitions.asset_locks import full_name, kind_of, lock_name, missing_hashes, with_lock
from orchestrator.definitions.catalog.nearby import nearby
from orchestrator.definitions.catalog.roots import LOCK_SUFFIX, Root, inside, package_folder
from orchestrator.definitions.catalog.round_rules import round_rules
from orchestrator.definitions.kinds.assets import Asset, Dataset, Model
from orchestrator.definitions.kinds.base import Definition
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.campaigns import Campaign
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.kinds.lock import AssetLock, LayerLock
from orchestrator.definitions.kinds.parts import Parts
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.kinds.rounds import Round
from orchestrator.definitions.kinds.servers import Server
from orchestrator.definitions.kinds.targets import HostChecks, Target
from orchestrator.definitions.yaml import decode, nearest, read_document, suggestion
from orchestrator.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.definitions.variations import Variation
    from orchestrator.definitions.yaml import Document
    from orchestrator.errors import Span
    from orchestrator.facts.rounds import RoundRules

_TEMPLATE_NAME = re.compile(r"(?!/)[A-Za-z0-9._/@+-]+")
_ACCURACY_TARGET = re.compile(r"-9[59](\.9)?$")
"""How a checker's name of a model ends that has several: `bert-99`, `bert-99.9`, `yolo-95`."""
Key = tuple[str, str]
"""(kind, name)"""
D = TypeVar("D", bound=Definition)
D_co = TypeVar("D_co", bound=Definition, covariant=True)
_KIND_OF = {model: kind for kind, model in KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[D_co]):
    """A definition, where it was written and what its file hashed to."""

    definition: D_co
    document: Document
    path: Path
    origin: str
    root: Path
    """The folder of definitions that it belongs to; files that it names must lie inside."""
    written: Document | None = None
    """The file as it was written, where ``document`` is that with the choices of its axes made."""
    variation: Variation | None = None
    """The choices that were made, and what wrote each value that is not the recipe's own."""

    @property
    def varies(self) -> bool:
        """Whether the recipe has axes, so that there are several forms of it."""
        return self.variation is not None and bool(self.variation.chosen)

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return self.document.sha256


AnyEntry: TypeAlias = Entry[Definition]


@dataclass(frozen=True, slots=True)
class Template:
    """A template's text and the file that it came from."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All definitions by kind and name; later roots have replaced equal names of earlier ones."""

    by_key: Mapping[Key, AnyEntry]
    roots: tuple[Root, ...]
    broken: frozenset[Key] = frozenset()
    """Definitions that are there and could not be decoded; only a linter's catalogue has them."""
    written_out: bool = False
    """Whether benchmarks in short are among them, which were written out from others."""
    folders: dict[Path, str] = field(default_factory=dict, repr=False, compare=False)
    """The hash of each folder beside a recipe that was looked at (`assets.beside`)."""
    _locks: dict[str, LayerLock | None] = field(default_factory=dict, repr=False, compare=False)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _with_locks: dict[Key, tuple[AnyEntry, AnyEntry]] = field(default_factory=dict, repr=False, compare=False)
    _rounds: dict[str, RoundRules] = field(default_factory=dict, repr=False, compare=False)

    def get(self, kind: str, name: str) -> AnyEntry:
        """A definition by kind and name; `UsageError` with the nearest names where there is none."""
        if (kind, name) in self.by_key:
            return self._with_lock(kind, name)
        names = self.names(kind)
        entries = [self.by_key[kind, known] for known in names]
        called = [e.definition.name for e in entries if name.lower() in getattr(e.definition, "aliases", ())]
        near = called or nearest(name, names, limit=3)
        hint = f"did you mean {' or '.join(f'`{n}`' for n in near)}? " if near else ""
        hint += f"there are: {', '.join(names)}" if names else f"no {kind} is defined"
        if kind == "benchmark" and ("target", name) in self.by_key:
            hint = f"`{name}` is a target: write `--target {name}`; {hint}"
        if kind == "benchmark" and self._is_of_a_round(name):
            if measuring := self._measuring(name):
                hint = f"`{name}` is MLPerf's name of a model, and `{measuring}` the benchmark that measures it"
            else:
                hint = f"`{name}` is a model of MLPerf that no recipe measures: see `mlorch benchmarks list`; {hint}"
        hint = "; ".join(filter(None, (nearby(kind, name, self.roots), hint)))
        raise UsageError(f"there is no {kind} `{name}`", hint=hint, slug=f"unknown-{kind}")

    def _is_of_a_round(self, name: str) -> bool:
        """Whether a round of MLPerf added a model of this name."""
        return any(name in self.round(each).definition.added for each in self.names("round"))

    def _measuring(self, model: str) -> str:
        """The benchmark of MLPerf for a model of a round; both accuracy targets of a model (`-99.9`) are one's."""
        for name in self.names("benchmark"):
            what = self.benchmark(name).definition
            if what.official and _ACCURACY_TARGET.sub("", what.stands_for) == _ACCURACY_TARGET.sub("", model):
                return name
        return ""

    def target(self, name: str) -> Entry[Target]:
        return self._get(Target, name)

    def layer(self, name: str) -> Entry[Layer]:
        return self._get(Layer, name)

    def benchmark(self, name: str) -> Entry[Benchmark]:
        return self._get(Benchmark, name)

    def model(self, name: str) -> Entry[Model]:
        return self._get(Model, name)

    def dataset(self, name: str) -> Entry[Dataset]:
        return self._get(Dataset, name)

    def harness(self, name: str) -> Entry[Harness]:
        return self._get(Harness, name)

    def server(self, name: str) -> Entry[Server]:
        return self._get(Server, name)

    def host_checks(self, name: str) -> Entry[HostChecks]:
        return self._get(HostChecks, name)

    def parts(self) -> tuple[Entry[Parts], ...]:
        return self._all(Parts)

    def round(self, name: str) -> Entry[Round]:
        return self._get(Round, name)

    def campaign(self, name: str) -> Entry[Campaign]:
        return self._get(Campaign, name)

    def round_rules(self, name: str) -> RoundRules:
        """The rules of a round, whole; `UsageError` (`unknown-round`) where there is none."""
        if name not in self._rounds:
            self.round(name)
            self._rounds[name] = round_rules(self.by_key, name)
        return self._rounds[name]

    def targets(self) -> tuple[Entry[Target], ...]:
        return self._all(Target)

    def layers(self) -> tuple[Entry[Layer], ...]:
        return self._all(Layer)

    def benchmarks(self) -> tuple[Entry[Benchmark], ...]:
        return self._all(Benchmark)

    def harnesses(self) -> tuple[Entry[Harness], ...]:
        return self._all(Harness)

    def servers(self) -> tuple[Entry[Server], ...]:
        return self._all(Server)

    def assets(self) -> tuple[Entry[Asset], ...]:
        """All models, then all datasets."""
        return (*self._all(Model), *self._all(Dataset))

    def _get(self, model: type[D], name: str) -> Entry[D]:
        return cast("Entry[D]", self.get(_KIND_OF[model], name))

    def _all(self, model: type[D]) -> tuple[Entry[D], ...]:
        return cast("tuple[Entry[D], ...]", self.entries(_KIND_OF[model]))

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of a kind, sorted."""
        if kind not in self._names:  # asked once a benchmark and target: sorting each time would be quadratic
            self._names[kind] = tuple(sorted(name for found, name in self.by_key if found == kind))
        return self._names[kind]

    def entries(self, kind: str | None = None) -> tuple[AnyEntry, ...]:
        """The definitions of a kind sorted by name, or all of them by kind, then name."""
        kinds = tuple(KINDS) if kind is None else (kind,)
        return tuple(self._with_lock(wanted, name) for wanted in kinds for name in self.names(wanted))

    def _with_lock(self, kind: str, name: str) -> AnyEntry:
        """A definition; a model or dataset without hashes has those of its lock, which is read only then."""
        entry = self.by_key[kind, name]
        if not isinstance(entry.definition, Asset) or not missing_hashes(entry.definition):
            return entry
        known = self._with_locks.get((kind, name))
        if known is None or known[0] is not entry:  # another catalogue with other choices shares this memory
            lock = self.asset_lock(entry)
            locked = entry if lock is None else replace(entry, definition=with_lock(entry.definition, lock))
            known = self._with_locks[kind, name] = (entry, locked)
        return known[1]

    # -- locks -------------------------------------------------------------------------

    def lock(self, layer: str) -> LayerLock | None:
        """The lock of a layer from the last root that has one; `DefinitionError` where it is invalid."""
        if layer not in self._locks:
            self._locks[layer] = self._read_lock(layer)
        return self._locks[layer]

    def asset_lock(self, entry: AnyEntry) -> AssetLock | None:
        """The lock of a model or dataset from the last root that has one; `DefinitionError` where it is invalid."""
        asset = entry.definition
        if not isinstance(asset, Asset):
            return None
        path = self.lock_path(lock_name(asset, varies=entry.varies))
        if path is None:
            return None
        document = read_document(path)
        lock = decode(document, AssetLock)
        if (lock.kind, lock.name) != (kind_of(asset), asset.name):
            message = f"this is the lock of {lock.kind} `{lock.name}`, but the file is named for {full_name(asset)}"
            raise DefinitionError([document.fault("lock-name", message, ("name",))])
        return lock

    def lock_path(self, layer: str) -> Path | None:
        """The lock file of a layer, or of what `asset_locks.lock_name` gives."""
        for root in reversed(self.roots):
            path = root.images / f"{layer}{LOCK_SUFFIX}"
            if path.is_file():
                return path
        return None

    def _read_lock(self, layer: str) -> LayerLock | None:
        path = self.lock_path(layer)
        if path is None:
            return None
        document = read_document(path)
        lock = decode(document, LayerLock)
        if lock.layer != layer:
            message = f"this is the lock of layer `{lock.layer}`, but the file is named for `{layer}`"
            raise DefinitionError([document.fault("lock-name", message, ("layer",))])
        return lock

    # -- templates and files -----------------------------------------------------------

    def template(self, name: str) -> Template:
        """A template from the last root that has it.

        Raises `DefinitionError`: `template-outside` for a name or a link that leaves
        `dockerfiles/`, `template-missing` where no root has it.
        """
        if not _TEMPLATE_NAME.fullmatch(name) or ".." in name.split("/"):
            message = f"the template name `{name[:80]}` leaves `dockerfiles/`"
            raise DefinitionError.fault("template-outside", message, "name a file below `dockerfiles/`, without `..`")
        for root in reversed(self.roots):
            path = root.dockerfiles / name
            if not path.is_file():
                continue
            if inside(path, root.dockerfiles) is None:
                message = f"the template {path} is a link that leads out of {root.dockerfiles}"
                raise DefinitionError.fault("template-outside", message, "copy the file into `dockerfiles/`")
            try:
                return Template(text=path.read_text(encoding="utf-8"), path=path)
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                raise DefinitionError.fault("unreadable", f"cannot read {path}: {reason}") from None
        folders = [root.dockerfiles for root in self.roots]
        known = {path.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*.j2")}
        hint = suggestion(name, sorted(known))
        raise DefinitionError.fault("template-missing", f"there is no template `{name}`", hint)

    def file(self, entry: AnyEntry, source: str) -> Path:
        """The file or folder that a recipe names, links followed.

        ``builtin:PATH`` is relative to the `orchestrator` package, all else to the
        recipe's folder. Raises `DefinitionError` where it is missing
        (`file-missing`), lies outside of its tree (`file-outside`) or is neither a file nor a
        folder (`file-kind`); the same for everything that a folder holds.
        """
        builtin = source.startswith("builtin:")
        tree = package_folder() if builtin else entry.root
        path = (tree if builtin else entry.path.parent) / source.removeprefix("builtin:")
        span = entry.document.find(source)
        try:
            real = inside(path, tree)
        except (OSError, RuntimeError):  # RuntimeError: a loop of links
            raise _missing_file(entry, source, path, span) from None
        if real is None:
            message = f"`{source}` leads out of {tree}"
            hint = "copy the file beside the recipe: files outside of a recipe tree are never read"
            raise DefinitionError([entry.document.problem("file-outside", message, span, hint)])
        for slug, message, hint in _unfit(real, tree):
            raise DefinitionError([entry.document.problem(slug, message, span, hint)])
        return real


def _unfit(real: Path, tree: Path) -> Iterator[tuple[str, str, str]]:
    """What must not be read of a file or folder of a recipe: slug, message and hint.

    A folder of somebody's repository could hold a link to a key of the caller's, which would end in
    an image that is published; a pipe would be read for ever.
    """
    copy = "copy what it leads to beside the recipe"
    for path in sorted(real.rglob("*")) if real.is_dir() else [real]:
        within: Path | None = path  # as the folder is, which has no links any more
        if path.is_symlink():
            try:
                within = inside(path, tree)
            except (OSError, RuntimeError):  # it leads to nothing, or in a loop
                within = None
        if within is None:
            yield "file-outside", f"{path} is a link that leads out of {tree} or to nothing", copy
        elif within.is_dir() and path.is_symlink():
            yield "file-outside", f"{path} is a link to a folder; none is followed", copy
        elif not within.is_dir() and not within.is_file():
            yield "file-kind", f"{path} is neither a file nor a folder", "remove it, or name a plain file"


def _missing_file(entry: AnyEntry, source: str, path: Path, span: Span) -> DefinitionError:
    siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest(path.name, siblings)
    hint = f"did you mean `{near[0]}`?" if near else f"looked for {path}"
    message = f"there is no file `{source}` beside this recipe"
    if source.startswith("builtin:"):
        message = f"there is no built-in file `{source}`"
    return DefinitionError([entry.document.problem("file-missing", message, span, hint)])
