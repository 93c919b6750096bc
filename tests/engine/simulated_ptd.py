#!/usr/bin/env python3
"""A simulated power daemon, for tests: it answers MLCommons' power server as PTDaemon would, and measures nothing.

Written after what power-dev's server sends and its check.py asks of the answers. It says in its name that it is
simulated. Started by the server as ``PROGRAM -l LOG -p PORT [options] DEVICE_TYPE DEVICE_PORT``; SIMULATED_PTD chooses
how it misbehaves: ``garbage`` answers every command with nonsense, ``honest`` names no analyser that exists.
"""

from __future__ import annotations

import math
import os
import socketserver
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

GARBAGE, HONEST = "garbage", "honest"
BEHAVIOUR = os.environ.get("SIMULATED_PTD", "")
MODEL = "SimulatedAnalyser" if BEHAVIOUR == HONEST else "YokogawaWT310"
VOLTS, MEAN_WATTS = 230.0, 40.0
REPLIES = {
    "Hello": "Hello, PTDaemon here!",
    "Identify": f"{MODEL},simulated by mlorch's tests,version=1.11.1-simulated,0",
    "RR": "Ranges,1,-1.0,1,-1.0",
    "Watts": "Watts,40.0,Volts,230.0,Amps,0.18,PF,0.97",
    "Uncertainty": "Uncertainty,0.2",
}
FILLING = 24_000
"""Bytes said after each measurement: the server's copy of what is printed is behind by the size of a buffer."""


def now() -> str:
    return datetime.now(UTC).strftime("%m-%d-%Y %H:%M:%S.%f")[:-3]


def tell(text: str) -> None:
    sys.stdout.write(f"{now()}: {text}\n")
    sys.stdout.flush()


class Analyser:
    """One measurement after the other, a sample a second, into the log and for whoever asks for them."""

    def __init__(self, log: str) -> None:
        self.log = Path(log)
        self.samples: list[str] = []
        self.ending = threading.Event()
        self.thread: threading.Thread | None = None

    def go(self, mark: str) -> str:
        self.samples = []
        self.ending = threading.Event()
        tell(f"Go with mark '{mark}'")
        self.thread = threading.Thread(target=self._sample, args=(mark,), daemon=True)
        self.thread.start()
        return "Starting untimed measurement, maximum 500000 samples at 1000ms with 0 rampup samples"

    def _sample(self, mark: str) -> None:
        while not self.ending.is_set():
            watts = MEAN_WATTS + math.sin(len(self.samples))
            line = f"Time,{now()},Watts,{watts:.6f},Volts,{VOLTS:.6f},Amps,{watts / VOLTS:.6f},PF,0.970000"
            self.samples.append(line)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{line},Mark,{mark}\n")
            self.ending.wait(1.0)

    def stop(self) -> str:
        if self.thread is None:
            return "Error: no measurement to stop"
        self.ending.set()
        self.thread.join()
        self.thread = None
        tell("Completed test")
        for number in range(FILLING // 80):
            tell(f"Notice: line {number} of the simulation, so that buffers are written")
        return "Stopping untimed measurement"

    def answer(self, command: str) -> str:
        if BEHAVIOUR == GARBAGE and command != "Hello":
            return "\x00\x1b[31m,,,;"
        name, _, rest = command.partition(",")
        if name == "SR":
            return f"Range {rest[:1]} changed"
        if name == "Go":
            return self.go(rest.split(",")[2])
        if name == "Stop":
            return self.stop()
        if name == "RL":
            return "\r\n".join([f"Last {len(self.samples)} samples", *self.samples])
        return REPLIES.get(command, "Unknown command")


def main() -> None:
    options = sys.argv
    analyser = Analyser(options[options.index("-l") + 1])
    tell(f"Uncertainty checking for {'Yokogawa' if BEHAVIOUR == HONEST else ''}{MODEL} is activated")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(analyser.answer(line.decode().strip()).encode() + b"\r\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", int(options[options.index("-p") + 1])), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
