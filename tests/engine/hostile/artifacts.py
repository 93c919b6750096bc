"""Leaves something to be run in /artifacts, and tells what it found there."""

import json
import os

found = sorted(os.listdir("/artifacts"))
with open("/artifacts/engine.plan", "w") as stream:
    stream.write("compiled")
with open("/results/harness.json", "w") as stream:
    json.dump({"version": 2, "status": "done", "error": None, "container": {"found": found}}, stream)
