"""Leaves everything that a folder can hold and no run may leave, in results and artefacts, and says that all is well."""

import json
import os
import socket

print('{"event": "phase", "name": "test"}', flush=True)
for number in ("1" + "0" * 400, "NaN", '"x"', "[]"):
    print('{"event": "progress", "done": %s, "total": %s, "qps": %s}' % (number, number, number), flush=True)
print('{"event": "log", "text": "\\u001b[2J[/red]::error::mine"}', flush=True)
print("\x1b[2J\x1b]0;owned\x07[/red][bold] not mine", flush=True)
for folder in ("/results", "/artifacts"):
    with open(folder + "/sh", "w") as stream:
        stream.write("#!/bin/sh\n")
    os.chmod(folder + "/sh", 0o6777)
    os.mkfifo(folder + "/pipe")
    socket.socket(socket.AF_UNIX).bind(folder + "/socket")
    os.makedirs(folder + "/closed/inner", exist_ok=True)
    os.chmod(folder + "/closed", 0o3000)
os.chdir("/results")
os.unlink("console.log")
os.symlink("/etc/passwd", "console.log")
os.symlink("/etc/passwd", "mlperf_log_summary.txt")
os.symlink("/dev/zero", "latency_timeline.json")
os.mkfifo("latency_histogram.json")
with open("mlperf_log_detail.txt", "w") as stream:
    stream.truncate(8 << 40)
for name in ("report.html", "run.json.sig", "console-accuracy.log"):
    with open(name, "w") as stream:
        stream.write("<h1>VALID</h1>")
os.mkdir("many")
for number in range(3000):
    os.close(os.open("many/%d" % number, os.O_CREAT | os.O_WRONLY))
for name in (b"\xff\n\x1b[2J", b".hidden", b"n" * 255):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
for forge in (
    lambda: os.unlink("run.json"),
    lambda: os.rename("report.html", "run.json"),
    lambda: os.rename("run.json", "old"),
    lambda: os.chmod("run.json", 0),
):
    try:
        forge()
        open("the-record-was-changed", "w").close()
    except OSError:
        pass
with open("harness.json", "w") as stream:
    json.dump({"version": 2, "status": "done", "error": None}, stream)
