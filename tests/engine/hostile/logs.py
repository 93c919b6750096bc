"""A test that went well by LoadGen's logs: with 460 errors in performance mode, and emptied afterwards in accuracy mode."""

import base64
import json
import zlib

LOGS = json.loads(zlib.decompress(base64.b64decode("@LOGS@")))
"""Recorded ones, by mode and name."""
ERROR = ':::MLLOG {"key": "error_runtime", "value": "late", "metadata": {"is_error": true, "is_warning": false}}\n'

with open("/results/settings.json") as stream:
    settings = json.load(stream)
mode = settings["mode"]
for name, text in LOGS[mode].items():
    if name == "mlperf_log_detail.txt":
        text = text.replace('"value": 64', '"value": %d' % settings["dataset"]["samples"])
        text = ERROR * 460 + text if mode == "performance" else ""
    with open("/results/" + name, "w") as stream:
        stream.write(text)
accuracy = {"metric": "top1", "value": 99.0, "unit": "%", "correct": 1, "samples": 1} if mode == "accuracy" else None
with open("/results/harness.json", "w") as stream:
    json.dump({"version": 2, "status": "done", "error": None, "accuracy": accuracy}, stream)
