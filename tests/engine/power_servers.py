"""Parts of the tests of power: a time server, and MLCommons' power server in a container with a simulated daemon."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

NTP_PORT = 11123
"""Where the image of the power client looks for a time server by name: its `/etc/services` says so."""
_SINCE_1900 = 2_208_988_800
SIMULATED = Path(__file__).with_name("simulated_ptd.py")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def ntp_answer(question: bytes, ahead_s: float = 0.0) -> bytes:
    """What a time server whose clock is ahead says to a question."""

    def stamp(moment: float) -> bytes:
        whole = int(moment)
        return struct.pack("!II", whole + _SINCE_1900, int((moment - whole) * 2**32))

    now = time.time() + ahead_s
    return bytes([0x24, 1, 6, 0xEC]) + bytes(8) + b"LOCL" + stamp(now) + question[40:48] + stamp(now) + stamp(now)


@contextlib.contextmanager
def time_server(port: int = NTP_PORT, ahead_s: float = 0.0):
    """A time server on this host's loopback device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        server.settimeout(0.2)
        ending = threading.Event()

        def serve():
            while not ending.is_set():
                with contextlib.suppress(TimeoutError):
                    question, address = server.recvfrom(256)
                    server.sendto(ntp_answer(question, ahead_s), address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


@contextlib.contextmanager
def power_server(image: str, folder: Path, *, debug: bool = False, behaviour: str = ""):
    """MLCommons' own server, unchanged, in a container of its own image on the host's network; gives its address."""
    port, name = free_port(), f"mlorch-test-power-{time.time_ns()}"
    conf = folder / "server.conf"
    conf.write_text(
        f"[server]\nntpServer: 127.0.0.1\nlisten: 127.0.0.1 {port}\n[ptd]\nptd: /ptd/ptd\n"
        f"[analyzer1]\nnetworkPort: {free_port()}\ndeviceType: 49\ninterfaceFlag:\ndevicePort: simulated\n"
    )
    conf.chmod(0o644)
    daemon = folder / "ptd"
    daemon.write_text(SIMULATED.read_text())
    daemon.chmod(0o755)
    command = ["docker", "run", "--rm", "--name", name, "--network", "host", "--user", "65534:65534", "--read-only"]
    command += ["--tmpfs", "/tmp", "--mount", f"type=bind,source={conf},target=/server.conf,readonly"]
    command += ["--mount", f"type=bind,source={daemon},target=/ptd/ptd,readonly", "--env", f"SIMULATED_PTD={behaviour}"]
    command += ["--env", "PYTHONDONTWRITEBYTECODE=1", *(["--env", "MLPP_DEBUG=1"] if debug else []), image]
    command += ["python3", "/opt/mlcommons-power/ptd_client_server/server.py", "-c", "/server.conf"]
    with (folder / "server.log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + 60
            while "Ready to accept" not in (folder / "server.log").read_text():
                if running.poll() is not None or time.monotonic() > until:
                    raise AssertionError((folder / "server.log").read_text())
                time.sleep(0.1)
            yield f"127.0.0.1:{port}", name
        finally:
            subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
            running.wait(30)
