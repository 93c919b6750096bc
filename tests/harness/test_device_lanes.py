"""Callers of a device side by side: lanes, recorded work of few sizes, page-locked memory. The devices are made up."""

from __future__ import annotations

import contextlib
import threading
import time
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime")

from test_backends import MODEL, SAMPLES, document, reference  # noqa: E402

from orchestrator.harness.backends import lanes as lanes_module  # noqa: E402
from orchestrator.harness.backends.lanes import LANES, Lanes, recorded_size  # noqa: E402
from orchestrator.harness.backends.page_locked import page_locked  # noqa: E402
from orchestrator.harness.samples import Samples  # noqa: E402
from orchestrator.harness.settings import parse  # noqa: E402

CALLERS = 12


class FakeLane:
    """Notes who is in it; as slow as a device."""

    def __init__(self) -> None:
        self.sizes: set[int] = set()
        self.callers = 0

    def ready(self, size: int) -> bool:
        return size in self.sizes

    def prepare(self, size: int) -> None:
        time.sleep(0.002)
        self.sizes.add(size)


def at_once(work) -> list[BaseException]:
    """``work(number)`` in as many threads as there are callers; what they raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_a_lane_has_one_caller_and_there_are_no_more_lanes_than_that():
    made: list[FakeLane] = []

    def make() -> FakeLane:
        made.append(FakeLane())
        return made[-1]

    lanes = Lanes(make)

    def work(_: int) -> None:
        for _ in range(5):
            with lanes.one() as lane:
                lane.callers += 1
                time.sleep(0.001)
                assert lane.callers == 1
                lane.callers -= 1

    assert at_once(work) == []
    assert 2 <= len(made) <= LANES


def test_one_caller_has_one_lane_again_and_again():
    made: list[FakeLane] = []
    lanes = Lanes(lambda: made.append(FakeLane()) or made[-1])
    for _ in range(3):
        with lanes.one(1) as lane:
            assert lane is made[0]
    assert len(made) == 1


def test_work_is_recorded_while_nobody_else_uses_the_device():
    inside, together = [0], []

    class Recording(FakeLane):
        def prepare(self, size: int) -> None:
            together.append(inside[0])
            super().prepare(size)

    lanes = Lanes(Recording)

    def work(number: int) -> None:
        for size in (1, 2, 4, number + 8):
            with lanes.one(size) as lane:
                inside[0] += 1
                assert lane.ready(size)
                time.sleep(0.0005)
                inside[0] -= 1

    assert at_once(work) == []
    assert together, "something was recorded"
    assert set(together) == {0}


def test_a_lane_that_cannot_be_made_leaves_its_place_to_the_next():
    answers = iter([RuntimeError("no memory"), FakeLane()])

    def make() -> FakeLane:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    lanes = Lanes(make, most=1)
    with pytest.raises(RuntimeError, match="no memory"), lanes.one():
        pass
    with lanes.one(3) as lane:
        assert lane.ready(3)


def test_a_size_that_cannot_be_recorded_is_an_error_and_no_lane_is_lost():
    class Broken(FakeLane):
        def prepare(self, size: int) -> None:
            raise RuntimeError("out of memory")

    lanes = Lanes(Broken, most=1)
    with pytest.raises(RuntimeError, match="out of memory"), lanes.one(2):
        pass
    with lanes.one() as lane:
        assert isinstance(lane, Broken)


@pytest.mark.parametrize(
    ("size", "tuned", "expected"),
    [(1, None, 1), (3, None, 4), (4, None, 4), (3, 48, 4), (40, 48, 48), (48, 48, 48), (49, 48, 64), (30, 48, 32)],
)
def test_few_sizes_are_recorded_and_each_batch_fits_into_one(size, tuned, expected):
    assert recorded_size(size, tuned) == expected


def test_memory_without_a_device_is_ordinary_memory():
    array = page_locked((3, 4), np.dtype("f4"))
    assert (array.shape, array.dtype, array.sum()) == ((3, 4), np.float32, 0)
    array[...] = 1
    assert page_locked((0, 4), np.dtype("i8")).shape == (0, 4)


def test_samples_move_to_the_memory_of_the_device_and_stay_what_they_are(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (SAMPLES, 1, 28, 28), np.uint8)
    np.save(tmp_path / "images.npy", pictures)
    np.save(tmp_path / "labels.npy", np.zeros(SAMPLES, np.int64))
    samples = Samples(parse(document("onnxruntime", tmp_path)))
    samples.load(range(SAMPLES))
    given: list[tuple[int, ...]] = []

    def room(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        given.append(shape)
        return np.full(shape, 255, dtype)

    samples.move(room)
    buffer = samples.buffer(4)
    assert given == [(SAMPLES, 1, 28, 28), (4, 1, 28, 28)]
    np.testing.assert_array_equal(samples.batch([7, 3, 39], buffer)[0], pictures[[7, 3, 39]])
    np.testing.assert_array_equal(samples.batch([5], buffer)[0], pictures[5:6])


# -- ONNX Runtime: a card that is the processor ---------------------------------------------


@pytest.fixture
def card(monkeypatch):
    """ONNX Runtime with a CUDA that computes on the processor; gives the options of the sessions that were started."""
    import onnxruntime

    real, value, started = onnxruntime.InferenceSession, onnxruntime.OrtValue.ortvalue_from_shape_and_type, []

    def session(path, options, *, providers):
        started.append(providers)
        return SessionOnCard(real(path, options, providers=["CPUExecutionProvider"]))

    class SessionOnCard:
        def __init__(self, inner) -> None:
            self._inner = inner

        def __getattr__(self, name: str):
            return getattr(self._inner, name)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(
        onnxruntime.OrtValue,
        "ortvalue_from_shape_and_type",
        staticmethod(lambda shape, kind, device, number: value(shape, kind, "cpu", number)),
    )
    return started


def on_card():
    from orchestrator.harness.backends.onnx import OnnxBackend

    backend = OnnxBackend()
    backend.load(parse(document("onnxruntime", providers=["CUDAExecutionProvider"])), 1)
    return backend


def recording(started) -> int:
    return sum(isinstance(providers[0], tuple) for providers in started)


def test_onnxruntime_answers_callers_on_a_card_side_by_side_from_recorded_sizes(card):
    pictures = np.random.default_rng(0).integers(0, 256, (SAMPLES, 1, 28, 28), np.uint8)
    backend, expected = on_card(), reference_on_processor(pictures)
    assert card[-1][0] == ("CUDAExecutionProvider", {"enable_cuda_graph": "1"})

    def work(number: int) -> None:
        for size in (1, 3, 8, number + 1):
            (found,) = backend.predict([pictures[number : number + size]])
            np.testing.assert_allclose(found, expected[number : number + size], rtol=1e-3, atol=1e-3)

    assert at_once(work) == []
    assert 1 <= recording(card) <= LANES
    assert backend.tune(24), "the batch of the test is recorded as it is"
    assert not backend.tune(24)
    assert backend.describe()["providers"][0] == "CUDAExecutionProvider"


def reference_on_processor(pictures):
    """The model's answers, by a session that the card of the test does not replace."""
    from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

    return InferenceSession(str(MODEL), providers=["CPUExecutionProvider"]).run(["logits"], {"x": pictures})[0]


def test_a_model_that_onnxruntime_cannot_record_is_called_each_time(card, monkeypatch, capfd):
    import onnxruntime

    plain = onnxruntime.InferenceSession

    def refusing(path, options, *, providers):
        if isinstance(providers[0], tuple):
            raise RuntimeError("all compute graph nodes have not been partitioned\nmore")  # noqa: TRY004 (as ONNX Runtime)
        return plain(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", refusing)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), np.uint8)
    backend = on_card()
    np.testing.assert_allclose(backend.predict([pictures])[0], reference_on_processor(pictures), rtol=1e-3, atol=1e-3)
    assert not backend.tune(5)
    assert "no CUDA graphs: all compute graph nodes have not been partitioned" in capfd.readouterr().out


def test_on_a_processor_onnxruntime_has_one_session_and_no_lanes():
    from orchestrator.harness.backends.onnx import OnnxBackend

    backend = OnnxBackend()
    backend.load(parse(document("onnxruntime")), 1)
    assert backend._lanes is None
    assert not backend.tune(4)
    assert reference(np.zeros((2, 1, 28, 28), np.uint8)).shape == (2, 10)


# -- PyTorch: a card that is the processor --------------------------------------------------


class FakeGraph:
    """Remembers what was computed while it was recorded, and computes it again on the same buffers."""

    under_way: FakeGraph | None = None

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def replay(self) -> None:
        for compute, given, found in self.calls:
            for old, new in zip(found, compute(given), strict=True):
                old.copy_(new)


@pytest.fixture
def torch_card(monkeypatch):
    torch = pytest.importorskip("torch")
    from orchestrator.harness.backends import cuda_graphs

    @contextlib.contextmanager
    def record(graph, **_):
        FakeGraph.under_way = graph
        yield
        FakeGraph.under_way = None

    cuda = SimpleNamespace(
        Stream=lambda _: SimpleNamespace(synchronize=lambda: None),
        stream=lambda _: contextlib.nullcontext(),
        graph_pool_handle=lambda: (0, 1),
        synchronize=lambda _: None,
        CUDAGraph=FakeGraph,
        graph=record,
    )

    class Torch:
        def __getattr__(self, name: str):
            return getattr(torch, name)

        cuda = None

        @staticmethod
        def empty(shape, *, dtype, pin_memory):
            assert pin_memory
            return torch.empty(shape, dtype=dtype)

    Torch.cuda = cuda
    monkeypatch.setattr(cuda_graphs, "torch", Torch())
    monkeypatch.setattr(cuda_graphs, "_page_locked", lambda tensor: tensor)
    return torch, cuda_graphs


def recordable(compute):
    """A module on the card: what it computes while a graph is recorded is in the graph."""

    def module(given):
        found = compute(given)
        if FakeGraph.under_way is not None:
            FakeGraph.under_way.calls.append((compute, given, found))
        return found

    return module


def test_pytorch_on_a_card_replays_what_was_recorded_for_the_next_size(torch_card):
    torch, cuda_graphs = torch_card
    shapes = [((3,), torch.float32), ((), torch.int64)]
    module = recordable(lambda given: [given[0].sum(dim=1) * given[1], given[0] + 1])
    lanes = lanes_module.Lanes(lambda: cuda_graphs.StreamLane(torch.device("cpu"), module, shapes))
    rows, factors = np.arange(24, dtype=np.float32).reshape(8, 3), np.arange(8)
    for count in (8, 1, 5, 3, 8):
        size = recorded_size(count, None)
        with lanes.one(size) as lane:
            sums, more = lane.predict([rows[:count], factors[:count]], size)
        np.testing.assert_allclose(sums, (rows.sum(axis=1) * factors)[:count])
        np.testing.assert_allclose(more, rows[:count] + 1)


def test_answers_outlive_the_next_caller_of_the_lane(torch_card):
    torch, cuda_graphs = torch_card
    lane = cuda_graphs.StreamLane(torch.device("cpu"), recordable(lambda given: [given[0] * 2]), [((), torch.float32)])
    lane.prepare(2)
    (first,) = lane.predict([np.array([1, 2], np.float32)], 2)
    lane.predict([np.array([8, 9], np.float32)], 2)
    assert first.tolist() == [2, 4]


@pytest.mark.parametrize("why", ["waits for the device", "no row for each sample"])
def test_a_module_that_cannot_be_recorded_is_called_each_time(torch_card, capfd, why):
    torch, cuda_graphs = torch_card

    def compute(given):
        if FakeGraph.under_way is not None:
            FakeGraph.under_way = None
            raise RuntimeError(f"operation not permitted: it {why}\nmore")
        return [given[0][given[0] > 0]] if why.startswith("no row") else [given[0] * 2]

    lane = cuda_graphs.StreamLane(torch.device("cpu"), compute, [((), torch.float32)])
    lane.prepare(4)
    (found,) = lane.predict([np.array([0, 5, 6], np.float32)], 4)
    assert found.tolist() == ([5, 6] if why.startswith("no row") else [0, 10, 12])
    said = capfd.readouterr().out
    assert "no CUDA graph for a batch of 4" in said
    assert why in said
