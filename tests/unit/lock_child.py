"""A process that reserves processors: FOLDER CPUS SESSION [UID]. Says what happens, a line each; ends when told to."""

import os
import sys
from pathlib import Path

from orchestrator.errors import MlorchError
from orchestrator.host.signals import signals_interrupt
from orchestrator.runs import reservation

folder, cpus, session, *rest = sys.argv[1:]
if rest and rest[0] != "no-wait":
    os.setgroups([])
    os.setgid(int(rest[0]))
    os.setuid(int(rest[0]))
    os.umask(0o077)
reservation.shared_folder = lambda: Path(folder)


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


try:
    with (
        signals_interrupt(),
        reservation.reserve(
            [int(cpu) for cpu in cpus.split(",")], session, wait="no-wait" not in rest, say=say, warn=say
        ) as reserved,
    ):
        reserved.at(f"run-of-{session}")
        say(f"has {','.join(map(str, reserved.facts.cpus))}")
        sys.stdin.readline()
except MlorchError as error:
    say(f"{error.slug}: {error.message}")
    sys.exit(error.exit_code)
