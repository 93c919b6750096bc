"""Parts of the tests of power: a power server of a few lines, and a client as MLCommons' one behaves, in a thread."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from results_parts import LOGS
from run_parts import a_run_environment, a_workload

from orchestrator.engines import ContainerExit
from orchestrator.facts.power import PowerServer
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

IMAGE = "localhost/mlorch/power:0123"
GREETING = b"mlcommons/power server v3\r\n"
IDENTITY = "YokogawaWT310,simulated in a test,version=1.11.1-x,0"
CLOCK = "%m-%d-%Y %H:%M:%S.%f"
CHECKS = ("Check client sources checksum", "Check UUID")


class Server:
    """A power server that answers lines; ``heard`` has them. It ends a connection where it hears ``dies_at``."""

    def __init__(self, *, ahead_s: float = 0.0, dies_at: str = "", greeting: bytes = GREETING) -> None:
        self.ahead_s, self.dies_at, self.greeting = ahead_s, dies_at, greeting
        self.heard: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for line in connection.makefile("rb"):
                said = line.decode().strip()
                self.heard.append(said)
                if said == self.dies_at:
                    return
                if said.startswith("mlcommons/power client"):
                    connection.sendall(self.greeting)
                elif said == "time":
                    connection.sendall(f"{time.time() + self.ahead_s}\r\n".encode())
                else:
                    connection.sendall(b"OK\r\n")

    def close(self) -> None:
        self._listener.close()


class Times:
    """A time server on a port of its own."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self._ahead_s = ahead_s
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                _, address = self._server.recvfrom(256)
                now = time.time() + self._ahead_s
                stamp = struct.pack("!II", int(now) + 2_208_988_800, int(now % 1 * 2**32))
                self._server.sendto(bytes([0x24, 1]) + bytes(30) + stamp + stamp, address)

    def close(self) -> None:
        self._server.close()


def asked(exchange: Path, what: str) -> socket.socket:
    """A connection from the client's container to mlorch."""
    connection = socket.socket(socket.AF_UNIX)
    held = os.open(exchange, os.O_RDONLY)
    try:
        connection.connect(f"/proc/self/fd/{held}/mlorch.sock")
    finally:
        os.close(held)
    connection.sendall(f"{what}\n".encode())
    return connection


def line_of(connection: socket.socket, command: str) -> str:
    connection.sendall(f"{command}\r\n".encode())
    return connection.makefile("rb").readline().decode().strip()


def a_client(exchange: Path, on_line, *, say=()) -> int:
    """What MLCommons' client does, without its sleeps; ``say`` are commands for the server before the first test."""
    with asked(exchange, "server") as server:
        for command in ("mlcommons/power client v3", *say):
            answer = line_of(server, command)
            on_line(f"{command}: {answer}")
            if not answer:
                return 1
        for run in ("ranging", "run_1"):
            if not line_of(server, f"session,start,{run}"):
                return 1
            with asked(exchange, "workload") as workload:
                if workload.makefile("rb").readline() != b"done\n":
                    return 1
            if not line_of(server, f"session,stop,{run}"):
                return 1
            shutil.copytree(exchange / "loadgen" / run, exchange / "session" / run)
        write_session(exchange / "session")
    return 0


def write_session(session: Path) -> None:
    """The rest of a session: samples within the test, and what client and server write."""
    power = session / "power"
    power.mkdir()
    for run in ("ranging", "run_1"):
        begin = window(session / run)[0]
        moments = [(begin + timedelta(milliseconds=100 * n)).strftime(CLOCK)[:-3] for n in range(-20, 200)]
        samples = [f"Time,{at},Watts,40.0,Volts,230.0,Amps,0.17,PF,0.97,Mark,s_{run}" for at in moments]
        (session / run / "spl.txt").write_text("\n".join(samples) + "\n")
    (session / "run_1" / "ptd_out.txt").write_text("Power: 40\n")
    for name in ("client.log", "server.log", "ptd_logs.txt"):
        (power / name).write_text("x\n")
    hello = {"cmd": "mlcommons/power client v3", "reply": "mlcommons/power server v3"}
    said = {"session_name": "s", "messages": [hello], "uuid": {}, "results": {}, "phases": {}}
    identity = {"cmd": "Identify", "reply": IDENTITY}
    server = {**said, "ptd_messages": [identity], "ptd_config": [{"device_type": 49, "command": [], "channel": None}]}
    (power / "client.json").write_text(json.dumps(said))
    (power / "server.json").write_text(json.dumps(server))


def window(run: Path) -> list[datetime]:
    """When LoadGen's log says that power began and ended."""
    found = {}
    for line in (run / "mlperf_log_detail.txt").read_text().splitlines():
        entry = json.loads(line.removeprefix(":::MLLOG "))
        if entry["key"] in {"power_begin", "power_end"}:
            found.setdefault(entry["key"], datetime.strptime(entry["value"], CLOCK).replace(tzinfo=UTC))
    return [found["power_begin"], found["power_end"]]


def a_test(results: Path, _on_line) -> int:
    for log in (LOGS / "offline").iterdir():
        shutil.copy(log, results)
    (results / "harness.json").write_text(json.dumps({"version": 2, "status": "done", "accuracy": None}))
    return 0


def passes(on_line) -> int:
    for name in CHECKS:
        on_line(f"INFO:main:[x] {name}")
    return 0


class Engine:
    """Runs a function in place of each container; ``ran`` has their names, ``stopped`` those that were stopped."""

    name = "fake"

    def __init__(self, client=a_client, test=a_test, check=passes) -> None:
        self._client, self._test, self._check = client, test, check
        self.ran: list[str] = []
        self.stopped = threading.Event()

    def run(self, spec, on_line):
        self.ran.append(spec.name.removeprefix("mlorch-20260101T000000Z-x"))
        place = {mount.target: Path(mount.source) for mount in spec.mounts}
        if "/power" in place:
            status = self._client(place["/power"], on_line)
        elif "/session" in place:
            assert (place["/session"] / "power" / "client.json").is_file()
            status = self._check(on_line)
        else:
            status = self._test(place["/results"], on_line)
        return ContainerExit(container_id="c", exit_code=status, out_of_memory=False)

    def stop(self, _name, grace_s=10):
        self.stopped.set()

    def deployed(self, _name):
        return None

    def containers(self, _label):
        return []


def run_with_power(tmp_path: Path, engine: Engine, server: Server, times: Times, **workload: object):
    """One test with power on an engine, of a changed workload; gives its outcome."""
    environment = a_run_environment(
        results=str(tmp_path / "results"),
        artifacts=str(tmp_path / "artifacts"),
        user=this_user(),
        power=PowerServer(host="127.0.0.1", port=server.port, ntp_host="127.0.0.1", ntp_port=times.port),
        power_folder=str(tmp_path / "power"),
    )
    step = plan_run(
        a_workload(power_image=IMAGE, power_commit="c4b3ad8202fb", **workload),
        environment,
        Cell(scenario="Offline", mode="performance"),
        "20260101T000000Z-x",
        Choices(),
    )
    step.settings["dataset"] = {"samples": 64}  # as the recorded logs have it
    runner = Runner(
        engine=engine,
        store=Store(tmp_path / "results"),
        session=Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch",)),
        watcher=Watcher(),
    )
    context = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i"))
    return runner.run(step, context)


def sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
