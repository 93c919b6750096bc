"""Bare loops: a framework called directly, without LoadGen and without the harness, in a process of its own.

    python3 harness_loops.py JOB

JOB is JSON: ``framework``, ``provider``, ``model``, ``inputs`` (as settings.json has them, with the path of each
array), ``cpus``, ``instances`` × ``threads``, ``batch``, ``style`` (how a card is called) and how long: ``seconds``
over batches of the data in turn (``same``: over one batch), or ``order``, the path of sample numbers that are answered
once, batches of like length together. Prints ``rate`` (samples per second) and ``latency_ns`` of a call.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[[list[np.ndarray]], object]

MOST_BATCHES = 64
"""Different batches that a loop over time goes through; more of them are no other work."""


# -- frameworks: each makes a call of its own for a thread --------------------------------


def onnxruntime_call(job: dict, largest: list[np.ndarray]) -> Call:
    """A session of its own; refuses to be a loop over another device than the one that was asked for."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job["threads"], 1
    graph = job.get("style") == "graph"
    provider = (job["provider"], {"enable_cuda_graph": "1"}) if graph else job["provider"]
    session = onnxruntime.InferenceSession(job["model"], options, providers=[provider])
    if session.get_providers()[0] != job["provider"]:
        raise RuntimeError(f"the loop would run on {session.get_providers()}")
    names = [each["name"] for each in job["inputs"]]
    if not graph:
        return lambda batch: session.run(None, dict(zip(names, batch, strict=True)))
    return _onnxruntime_graph(session, names, largest)


def _onnxruntime_graph(session, names: list[str], largest: list[np.ndarray]) -> Call:
    """A call on buffers that stay on the card, recorded as a CUDA graph at its second run."""
    import onnxruntime

    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0) for array in largest]
    first = session.run(None, dict(zip(names, largest, strict=True)), _ungraphed())
    found = [onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0) for array in first]
    binding = session.io_binding()
    for name, value in zip(names, values, strict=True):
        binding.bind_ortvalue_input(name, value)
    for node, value in zip(session.get_outputs(), found, strict=True):
        binding.bind_ortvalue_output(node.name, value)

    def call(batch: list[np.ndarray]) -> object:
        for value, array in zip(values, batch, strict=True):
            value.update_inplace(array)
        session.run_with_iobinding(binding)
        return [value.numpy() for value in found]

    return call


def _ungraphed():
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "-1")
    return options


def openvino_call(job: dict, largest: list[np.ndarray]) -> Call:
    """A compiled model of its own, with the batch as a fixed shape where samples have one: OpenVINO at its best."""
    import openvino

    core = openvino.Core()
    model = core.read_model(job["model"])
    names = [each["name"] for each in job["inputs"]]
    if not any(each["varies"] for each in job["inputs"]):
        model.reshape({name: list(array.shape) for name, array in zip(names, largest, strict=True)})
    threads = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": job["threads"], "ENABLE_CPU_PINNING": False}
    properties = {**threads, "INFERENCE_PRECISION_HINT": "f32"} if job["provider"] == "CPU" else {}
    request = core.compile_model(model, job["provider"], properties).create_infer_request()

    def call(batch: list[np.ndarray]) -> object:
        for name, array in zip(names, batch, strict=True):
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        request.infer()
        return request.get_output_tensor(0).data

    return call


_ONE_BY_ONE = threading.Lock()
"""PyTorch reads one program, and records one graph, at a time."""


def pytorch_call(job: dict, largest: list[np.ndarray]) -> Call:
    """The module of an exported program, as one would call it: on a card in a stream of this thread's own."""
    import torch

    with _ONE_BY_ONE:
        program = torch.export.load(job["model"])
    if job["provider"] == "cpu":
        torch.get_num_threads()
        torch.set_num_threads(job["threads"])
        module = program.module().to(memory_format=torch.channels_last)

        def on_processor(batch: list[np.ndarray]) -> object:
            with torch.inference_mode():
                return module(*(torch.from_numpy(array) for array in batch))

        return on_processor
    torch.backends.cudnn.benchmark = True
    module = torch.export.passes.move_to_device_pass(program, job["provider"]).module()
    return _pytorch_stream(module, job, largest)


def _pytorch_stream(module, job: dict, largest: list[np.ndarray]) -> Call:
    """Copies from page-locked memory, the module (``graph``: recorded once), and copies back, in one stream."""
    import torch

    stream = torch.cuda.Stream(job["provider"])
    hosts = [torch.from_numpy(array).pin_memory() for array in largest]
    with torch.inference_mode(), torch.cuda.stream(stream), _ONE_BY_ONE:
        given = [host.to(job["provider"]) for host in hosts]
        for _ in range(3):
            found = module(*given)
        stream.synchronize()
        answer = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        graph = torch.cuda.CUDAGraph() if job.get("style") == "graph" else None
        if graph is not None:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                found = module(*given)

    def call(_: list[np.ndarray]) -> object:
        with torch.inference_mode(), torch.cuda.stream(stream):
            for target, host in zip(given, hosts, strict=True):
                target.copy_(host, non_blocking=True)
            if graph is None:
                answer.copy_(module(*given), non_blocking=True)
            else:
                graph.replay()
                answer.copy_(found, non_blocking=True)
            stream.synchronize()
            return answer

    return call


CALLS = {"onnxruntime": onnxruntime_call, "openvino": openvino_call, "pytorch": pytorch_call}


# -- batches of the data ------------------------------------------------------------------


class Data:
    """The arrays of the data set as the model takes them."""

    def __init__(self, job: dict) -> None:
        self._arrays = [np.load(each["path"], mmap_mode="r") for each in job["inputs"]]
        self._inputs = job["inputs"]
        self._lengths = None if job.get("lengths") is None else np.load(job["lengths"]).astype(np.int64)
        self._joined = any(each.get("joined") for each in job["inputs"])

    def __len__(self) -> int:
        return len(self._lengths if self._joined else self._arrays[0])

    def samples(self, batch: list[np.ndarray]) -> float:
        """How many samples a batch has; where each is several rows, as many as such rows are on average."""
        return len(batch[0]) / float(self._lengths.mean()) if self._joined else len(batch[0])

    def batch(self, indexes: np.ndarray) -> list[np.ndarray]:
        """Samples in memory, as long as the longest of them, or the rows of all of them."""
        if self._joined:
            ends = self._lengths.cumsum()
            indexes = np.concatenate([np.arange(ends[at] - self._lengths[at], ends[at]) for at in indexes])
        longest = None if self._lengths is None or self._joined else int(self._lengths[indexes].max())
        found = []
        for given, array in zip(self._inputs, self._arrays, strict=True):
            rows = array[indexes, :longest] if given["varies"] else array[indexes]
            scaled = rows if given["scale"] == 1 else rows * given["scale"]
            found.append(np.ascontiguousarray(scaled, given["dtype"]))
        return found

    def in_turn(self, size: int, *, same: bool) -> list[list[np.ndarray]]:
        """Batches of samples that lie side by side; one of them where that is ``same``."""
        count = 1 if same else min(MOST_BATCHES, max(1, len(self) // size))
        rows = np.arange(count * size) % len(self)
        return [self.batch(rows[at * size : (at + 1) * size]) for at in range(count)]

    def by_length(self, indexes: np.ndarray, size: int) -> list[list[np.ndarray]]:
        """Batches of those samples, of like length together."""
        if self._lengths is not None:
            indexes = indexes[np.argsort(self._lengths[indexes], kind="stable")]
        return [self.batch(indexes[at : at + size]) for at in range(0, len(indexes), size)]


# -- the loop ------------------------------------------------------------------------------


def loop(job: dict) -> dict:
    """Call the model in ``instances`` pinned threads, each with a call of its own."""
    data = Data(job)
    once = job.get("order") is not None
    if once:
        batches = data.by_length(np.load(job["order"]), job["batch"])
    else:
        batches = data.in_turn(job["batch"], same=job["same"])
    largest = max(batches, key=lambda batch: batch[0].size)
    places = itertools.count()  # next() is one step under the interpreter's lock
    done, spans = [0.0] * job["instances"], [0.0] * job["instances"]
    calls, barrier = [0] * job["instances"], threading.Barrier(job["instances"])

    def work(at: int) -> None:
        os.sched_setaffinity(0, job["cpus"][at * job["threads"] : (at + 1) * job["threads"]])
        call = CALLS[job["framework"]](job, largest)
        for _ in range(3):
            call(largest)
        barrier.wait()
        start = time.perf_counter()
        for place in places_of(places, len(batches), None if once else start + job["seconds"]):
            call(batches[place])
            done[at] += data.samples(batches[place])
            calls[at] += 1
        spans[at] = time.perf_counter() - start

    run_threads(job["instances"], work)
    if once:
        rate = sum(done) / max(spans)
    else:
        rate = sum(count / span for count, span in zip(done, spans, strict=True))
    return {"rate": rate, "latency_ns": 1e9 * spans[0] / max(1, calls[0])}


def places_of(places: Iterator[int], count: int, end: float | None) -> Iterator[int]:
    """The next batch, over and over until the clock says ``end``; without one, each batch once."""
    for place in places:
        if (place >= count) if end is None else (time.perf_counter() >= end):
            return
        yield place % count


def run_threads(count: int, work: Callable[[int], None]) -> None:
    """``work(number)`` in so many threads; raises the first error."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 (raised again below)
            errors.append(error)
            os._exit(_told(error))  # the others wait at the barrier

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _told(error: BaseException) -> int:
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return 1


# -- text generation -----------------------------------------------------------------------


def generate(job: dict) -> dict:
    """llama.cpp's server objects, one for each instance, with ``batch`` answers under way in each.

    Every prompt of ``order`` is answered once, without streaming; ``tokens`` are those of all answers.
    """
    (given,) = job["inputs"]
    prompts, lengths = np.load(given["path"], mmap_mode="r"), np.load(job["lengths"])
    order = np.load(job["order"])
    room = int(lengths.max()) + job["limit"]
    servers: list = [None] * job["instances"]

    def load(at: int) -> None:
        os.sched_setaffinity(0, job["cpus"][at * job["threads"] : (at + 1) * job["threads"]])
        servers[at] = _server(job, room)
        _answer(servers[at], prompts[order[0]][: lengths[order[0]]], 2)

    run_threads(job["instances"], load)
    places, tokens = itertools.count(), [0] * (job["instances"] * job["batch"])

    def work(at: int) -> None:
        for place in places:
            if place >= len(order):
                return
            index = order[place]
            tokens[at] += _answer(servers[at % job["instances"]], prompts[index][: lengths[index]], job["limit"])

    start = time.perf_counter()
    run_threads(len(tokens), work)
    seconds = time.perf_counter() - start
    rate = {"rate": len(order) / seconds, "latency_ns": 1e9 * seconds / len(order)}
    return rate | {"tokens": sum(tokens), "samples": len(order)}


def _server(job: dict, room: int):
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = job["model"]
    options.n_parallel = job["batch"]
    options.n_ctx = -(-room // 256) * 256 * job["batch"]
    options.n_batch = options.n_ubatch = job["step"]
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = job["threads"]
    options.n_gpu_layers, options.n_threads_http = 0, 1
    options.fit_params, options.warmup = False, False
    options.cache_prompt, options.cache_ram_mib = False, 0
    options.verbosity = -1
    return xllamacpp.Server(options)


def _answer(server, prompt: np.ndarray, limit: int) -> int:
    """The tokens that the server counted in its answer."""
    asked = {"prompt": prompt.tolist(), "n_predict": limit, "samplers": ["top_k"], "top_k": 1, "cache_prompt": False}
    found = server.handle_completions(asked)
    if "usage" not in found:
        raise RuntimeError(f"llama.cpp: {found}")
    return found["usage"]["completion_tokens"]


# -- speech --------------------------------------------------------------------------------


def decode(job: dict) -> dict:
    """PocketSphinx's decoders, each in a process of its own, as it keeps the interpreter's lock.

    Every recording of ``order`` is decoded once, the longest first, so that all decoders end at about the same time.
    """
    audio, lengths = (np.load(each["path"], mmap_mode="r") for each in job["inputs"])
    order = np.load(job["order"])
    order = order[np.argsort(-lengths[order], kind="stable")]
    context = multiprocessing.get_context("fork")
    place, ready = context.Value("q", 0), context.Barrier(job["instances"] + 1)

    def work(at: int) -> None:
        os.sched_setaffinity(0, job["cpus"][at * job["threads"] : (at + 1) * job["threads"]])
        recogniser = _decoder(Path(job["model"]).parent)
        _decoded(recogniser, audio[order[0]][: lengths[order[0]]])
        ready.wait()
        while True:
            with place.get_lock():
                mine, place.value = place.value, place.value + 1
            if mine >= len(order):
                return
            _decoded(recogniser, audio[order[mine]][: lengths[order[mine]]])

    processes = [context.Process(target=work, args=(at,)) for at in range(job["instances"])]
    for process in processes:
        process.start()
    ready.wait(120)
    start = time.perf_counter()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - start
    if any(process.exitcode for process in processes):
        raise RuntimeError("a decoder failed")
    return {"rate": len(order) / seconds, "latency_ns": 1e9 * seconds / len(order)}


def _decoder(folder: Path):
    from pocketsphinx import Config, Decoder

    words = {"dict": str(folder / "words.dict"), "jsgf": str(folder / "grammar.jsgf"), "lm": None}
    return Decoder(Config(hmm=str(folder), loglevel="ERROR", **words))


def _decoded(recogniser, recording: np.ndarray) -> object:
    recogniser.reinit_feat()
    recogniser.start_utt()
    recogniser.process_raw(recording.tobytes(), full_utt=True)
    recogniser.end_utt()
    return recogniser.hyp()


KINDS = {"llamacpp": generate, "pocketsphinx": decode}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(KINDS.get(asked["framework"], loop)(asked)))
    sys.stdout.flush()
    os._exit(0)  # llama.cpp's servers and CUDA's threads are left to the kernel
