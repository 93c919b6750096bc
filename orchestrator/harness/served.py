"""A model that is served: LoadGen's queries go to servers of OpenAI's interface, and tokens come back as they are made.

A layout's `instances` are here the servers, its `batch` the requests under way at each of them.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .calibrate import Trial
from .client.asking import Asking, Reply, Target
from .client.errors import EndpointError
from .client.greeting import reads_alike
from .client.loop import Loop
from .generation import QUIETER, declared
from .instances import check_allowed
from .pieces import LOST
from .samples import opened
from .scenarios import SCENARIOS
from .served_layout import processes, served_layout
from .streams import Prompts, TokenPool, check_length
from .sut import FAILED_QUERY_SECONDS
from .tasks.text_generation import logged_text
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .backends import Array
    from .client.dialects import Dialect, Form
    from .client.greeting import About
    from .effective import Effective
    from .samples import Samples
    from .settings import Settings
    from .tasks import Task

TRIAL_S = 3.0
"""A trial with more requests at once is begun so long; one that has begun is finished."""
TRIAL_STEP = 4
"""How many times as many requests the next trial has."""
TRIAL_GAIN = 1.2
"""It is made where the last one was so many times as fast as the one before."""
TRIAL_MOST = 256
ALIKE = 3
"""Samples that a server reads back, to see whether its vocabulary is the data set's."""
QUESTIONS = "questions"
"""The array of the data set that has what a person would ask, text [n]."""


class Served:
    """What `app` drives, for a model behind an endpoint."""

    def __init__(self, settings: Settings, samples: Samples, task: Task) -> None:
        """Meet the servers. Raises `ValueError` for settings that cannot be, `EndpointError`."""
        endpoint = settings.endpoint
        if endpoint is None or settings.generation is None or samples.lengths is None:
            raise ValueError("a model that is served needs the settings' `endpoint` and `generation`")
        check_allowed(settings)
        self._settings, self._samples, self._task, self._endpoint = settings, samples, task, endpoint
        self._prompts = Prompts(samples, samples.lengths, settings.generation.limit)
        self._processes = processes(settings)
        self._layout = served_layout(settings, endpoint, self._processes)
        self._questions: list[str] | None = None
        if QUESTIONS in settings.dataset.arrays:
            self._questions = opened(settings, QUESTIONS).tolist()
        self._target = Target(
            urls=endpoint.urls,
            model=endpoint.model,
            limit=self._prompts.limit,
            key=_key(endpoint.key_file),
            ca_file=endpoint.ca_file,
            ready_s=endpoint.ready_s,
            stall_s=endpoint.stall_s,
        )
        self._bodies: dict[int, bytes] = {}
        self._loop, self._asking = Loop(), Asking(self._target, self._layout.batch, self._processes)
        self._abouts: list[About] = []
        self._dialect = self._loop.run(self._meet())

    async def _meet(self) -> Dialect:
        """How the servers are asked, when all of them have answered."""
        try:
            self._abouts = await self._asking.open()
            return await self._asking.agree(self._abouts, await self._forms(), lambda form: self._prompt(form, 0))
        except BaseException:
            await self._asking.close()
            raise

    async def _forms(self) -> list[Form]:
        """The forms of a prompt that mean the same to these servers as to the data set, the best first."""
        wanted = self._endpoint.prompts
        if wanted is not None:
            return [wanted]
        found: list[Form] = []
        if await self._alike():
            found.append("tokens")
        if self._questions is not None:
            found += ["messages", "text"]
        if not found:
            raise EndpointError(
                f"{self._endpoint.urls[0]} does not say that its model has the data set's tokens (/detokenize), "
                "and the data set has no questions as text"
            )
        return found

    async def _alike(self) -> bool:
        """Whether the servers read some prompts as the data set does; control tokens, which are no text, aside."""
        arrays = self._settings.dataset.arrays
        if not {"pieces", "piece_ends"} <= set(arrays):
            return False
        vocabulary = Vocabulary(*(np.load(arrays[name], allow_pickle=False) for name in ("pieces", "piece_ends")))
        for index in range(min(ALIKE, self._settings.dataset.performance_samples)):
            tokens = [token for token in self._prompts.of(index).tolist() if vocabulary.text([token])]
            for server in self._asking.servers:
                text = vocabulary.text(tokens)
                if not await reads_alike(self._asking.requests, server, self._target, tokens, text):
                    return False
        return True

    def describe(self) -> dict[str, object]:
        return {
            "framework": "openai",
            "model": self._endpoint.model,
            "path": self._dialect.path,
            "prompts": self._dialect.form,
            "processes": self._processes,
            "asked_beside": sorted(self._dialect.extra),
            "servers": [about.document() for about in self._abouts],
        }

    def _prompt(self, form: Form, index: int) -> Sequence[int] | str:
        if form == "tokens":
            tokens: list[int] = self._prompts.of(index).tolist()
            return tokens
        if self._questions is None:
            raise ValueError(f"the data set has no array `{QUESTIONS}`, which prompts as {form} are made of")
        return self._questions[index]

    def _body(self, index: int) -> bytes:
        """The request for a sample; made once."""
        body = self._bodies.get(index)
        if body is None:
            prompt = self._prompt(self._dialect.form, index)
            body = self._bodies[index] = self._dialect.body(self._endpoint.model, prompt, self._prompts.limit)
        return body

    def calibrate(self) -> Effective:
        """What a test runs with; the rate or latency that LoadGen expects is measured."""
        for index in range(self._settings.dataset.performance_samples):
            self._body(index)
        effective = declared(self._settings, self._layout, self._trial)
        effective.put_given("processes", self._settings.execution.processes, self._processes)
        return effective

    def _trial(self) -> Trial:
        """Answers side by side, ever more of them while that makes the servers quicker."""
        scenario = SCENARIOS[self._settings.scenario]
        if scenario.one_by_one and scenario.samples_per_query is None:
            return self._answers(1)
        started, most = time.monotonic(), min(TRIAL_MOST, self._layout.batch) * self._layout.instances
        count = min(TRIAL_STEP * self._layout.instances, most)
        best = self._answers(count)
        while count < most and time.monotonic() - started < TRIAL_S:
            count = min(count * TRIAL_STEP, most)
            trial = self._answers(count)
            better, best = trial.rate > best.rate * TRIAL_GAIN, max(best, trial, key=lambda each: each.rate)
            if not better:
                break
        return best

    def _answers(self, count: int) -> Trial:
        """So many answers at once, to samples in an order that is always the same."""
        loaded = self._settings.dataset.performance_samples
        indexes = np.resize(np.random.default_rng(1).permutation(loaded), count).tolist()
        listener = _Timed(count)
        self._listen(listener, self._target.ready_s)
        started = time.perf_counter()
        self._loop.soon(lambda: self._submit(indexes))
        listener.wait()
        took = [end - started for end in listener.ends]
        rate = count / max(took)
        return Trial(
            layout=self._layout, rate=rate, undisturbed=rate * QUIETER, latency=sum(took) / count, shortest=min(took)
        )

    def _submit(self, indexes: Sequence[int]) -> None:
        for number, index in enumerate(indexes):
            self._asking.submit(number, index)

    def _listen(self, to: _Timed | ServedSystem, patience_s: float = 0.0) -> None:
        async def listen() -> None:
            self._asking.listen(self._dialect, self._body, self._prompts.cost, to, patience_s)

        self._loop.run(listen())

    def warm_up(self) -> None:
        """An answer from each server to each process at least: connections are made, and what is compiled at first use
        is there."""
        self._answers(self._layout.instances * self._processes)

    def system(self, on_failure: Callable[[BaseException], None]) -> ServedSystem:
        system = ServedSystem(self._loop, self._asking, self._task, TokenPool(1, on_failure))
        self._listen(system)
        return system


class _Timed:
    """Waits for so many answers."""

    def __init__(self, count: int) -> None:
        self.ends = [0.0] * count
        self._left = count
        self._error: BaseException | None = None
        self._all = threading.Event()

    def first(self, number: int, tokens: list[int] | None) -> None:
        """Not measured here."""

    def done(self, number: int, index: int, reply: Reply) -> None:  # noqa: ARG002 (the Protocol's)
        self.ends[number] = time.perf_counter()
        self._left -= 1
        if not self._left:
            self._all.set()

    def failed(self, error: BaseException) -> None:
        self._error = error
        self._all.set()

    def lost(self, number: int, *, begun: bool) -> None:
        """`failed` says it."""

    def wait(self) -> None:
        self._all.wait()
        if self._error is not None:
            raise self._error


class ServedSystem:
    """What LoadGen tests. All of LoadGen's callbacks but `issue` are called in the client's thread."""

    def __init__(self, loop: Loop, asking: Asking, task: Task, pool: TokenPool) -> None:
        self._loop, self._asking, self._task, self.pool = loop, asking, task, pool
        self._issued: list[tuple[int, int, int]] = []
        self._lock = threading.Lock()
        self._arrived: dict[int, int] = {}

    def start(self) -> None:
        """Nothing to start."""

    def issue(self, ids: list[int], indexes: list[int]) -> None:
        """Called by LoadGen; returns at once."""
        pool, arrived = self.pool, time.perf_counter_ns()
        if not pool.first_query_ns:
            pool.begin()
        pool.issued += len(ids)
        if pool.error is not None:
            time.sleep(FAILED_QUERY_SECONDS)
        with self._lock:
            wake = not self._issued
            self._issued += [(sample, index, arrived) for sample, index in zip(ids, indexes, strict=True)]
        if wake:
            self._loop.soon(self._take)

    def _take(self) -> None:
        with self._lock:
            issued, self._issued = self._issued, []
        for sample, index, arrived in issued:
            self._arrived[sample] = arrived
            self._asking.submit(sample, index)

    def first(self, number: int, tokens: list[int] | None) -> None:
        self.pool.first(number, _LOST if tokens is None else np.array(tokens, np.int32))

    def done(self, number: int, index: int, reply: Reply) -> None:
        """Raises `ValueError` for an answer that LoadGen cannot time."""
        check_length(index, reply.count)
        if reply.tokens is None:
            data = logged_text(reply.text, reply.count)
        else:
            (data,) = self._task.answers([np.array(reply.tokens, np.int32)], [index])
        self.pool.complete(0, number, data, reply.count)
        self.pool.latencies.add(0, self._arrived.pop(number))

    def failed(self, error: BaseException) -> None:
        self.pool.note(error)

    def lost(self, number: int, *, begun: bool) -> None:
        self.pool.give_up(0, number, begun=begun)

    def stop(self) -> None:
        self._loop.run(self._asking.close())
        self._loop.close()


_LOST: Array = np.array([LOST], np.int32)


def _key(file: str | None) -> str | None:
    """The key that servers want. Raises `ValueError`, which does not repeat it."""
    if file is None:
        return None
    key = Path(file).read_text(encoding="utf-8", errors="replace").strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the file of the endpoint's key does not hold one word of plain letters")
    return key
