"""`kill -9` of mlorch at random moments of what it does: the next command works, nothing is half there, nothing twice.

    python tests/kill_matrix.py [--count 200] [--seed 1] [--only VERB]

Eleven verbs in turn (build, push, pull, bundle, load, lock, fetch, prepare, run, a submission's build and pack), each
on recipes of a few hundred kilobytes, with a home, a registry and a web server of their own, on the engine that runs.
Of each verb it is first measured how long it takes; every round then makes something new for it to do, kills it
somewhere in that time, does the same again, which must work, and once more, which must find everything. `make kill`
runs it; the engine tests run a sample.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time

from kill_verbs import CLASSES, Verb
from kill_world import World, Wrong, world


def measured(verb: Verb) -> float:
    """How long the verb takes where nobody kills it, in seconds."""
    verb.prepare()
    began = time.monotonic()
    said = verb.world.do(*verb.words(), code=verb.code)
    seconds = time.monotonic() - began
    verb.check(said)
    return seconds


def round_of(verb: Verb, after_s: float) -> str:
    """Kill the verb after some seconds; gives `killed`, or `ended` where it was quicker. Raises `Wrong`."""
    verb.prepare()
    process = verb.world.start(*verb.words())
    time.sleep(after_s)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    look = getattr(verb, "killed", None)
    if look is not None:
        look()
    verb.check(verb.world.do(*verb.words(), code=verb.code))
    verb.again(verb.world.do(*verb.words(), code=verb.code))
    verb.world.require_clean()
    return "killed" if killed else "ended"


def matrix(made: World, names: tuple[str, ...], count: int, seed: int, lasts_s: float = 0) -> dict[str, int]:
    """``count`` rounds over the verbs in turn; gives how many were killed of each. Raises `Wrong` with the round.

    How long each verb takes is measured where ``lasts_s`` does not say it.
    """
    chance = random.Random(seed)
    verbs = {name: CLASSES[name](made) for name in names}
    lasts = {name: lasts_s or min(measured(verb), measured(verb)) for name, verb in verbs.items()}
    _say("seconds of each: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in lasts.items()))
    killed = dict.fromkeys(names, 0)
    for number in range(count):
        name = names[number % len(names)]
        after = chance.uniform(0.02, lasts[name])
        try:
            how = round_of(verbs[name], after)
        except (Wrong, subprocess.TimeoutExpired) as error:
            raise Wrong(f"round {number} (seed {seed}): {name} after {after:.2f} s: {error}") from error
        killed[name] += how == "killed"
        _say(f"{number + 1}/{count} {name} {how} after {after:.2f} s")
    return killed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Run the matrix and say how it went."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", action="append", choices=CLASSES)
    given = options.parse_args()
    with world() as made:
        killed = matrix(made, tuple(given.only or CLASSES), given.count, given.seed)
    sys.stdout.write(
        f"{sum(killed.values())} of {given.count} were killed at work, and the next command was right each time\n"
    )
    sys.stdout.write(", ".join(f"{name} {number}" for name, number in killed.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
