"""A language model behind the server over OpenVINO GenAI as a user runs it: the same questions, client and goals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1800)]


def test_openvinos_server_reaches_the_rouge_of_llama_cpp_and_times_its_tokens(mlorch, tmp_path):
    done = mlorch(
        "run", "llm-chat", "-t", "openvino", "--roles", "server,client", "-s", "Offline", "--duration", "2s",
        "--set", "roles.server.restart=run", "-o", str(tmp_path), "--json", timeout=1700,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    accuracy, *_, offline = json.loads(done.stdout)["results"]
    figures = {one["name"]: one for one in (accuracy["metrics"]["accuracy"], *accuracy["metrics"]["other_accuracies"])}
    assert all(one["samples"] == 100 and one["reached"] for one in figures.values()), figures
    assert 25.7 < figures["rouge1"]["value"] < 28
    assert (offline["valid"], offline["metrics"]["result"]["unit"]) == (True, "tokens/s")
    facts = json.loads((Path(offline["record"]).parent / "harness.json").read_text())
    assert facts["backend"]["prompts"] == "tokens"
    (server,) = facts["backend"]["servers"]
    assert server["owner"] == "openvino"
    assert '"INFERENCE_PRECISION_HINT":"f32"' in server["said"]["/version"]
    (role,) = json.loads(Path(offline["record"]).read_text())["roles"]
    assert role["deployed"]["differences"] == []
