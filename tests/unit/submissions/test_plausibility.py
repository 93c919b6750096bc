"""Hints: what is odd about a result although no rule forbids it, and what is not."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path

import pytest
from submission_parts import good_tree, rules, system_json, write

from orchestrator import api
from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.parts import known_parts
from orchestrator.submissions.findings import Rulebook
from orchestrator.submissions.plausibility.hints import HINTS, hints_of

SYSTEM = {
    "Division": "closed", "Organization": "Acme", "Platform": "box", "SystemName": "A box", "number_of_nodes": "1",
    "host_processor_model_name": "AMD EPYC 9575F", "host_processors_per_node": "2",
    "host_processor_core_count": "64", "accelerator_model_name": "NVIDIA H100-SXM-80GB", "accelerators_per_node": "8",
}  # fmt: skip


@cache
def parts():
    return known_parts(load([builtin_root()]))


def hints(*figures: dict, **fields: str) -> list[tuple[str, str]]:
    """The hints of a system with some results, as rule and path."""
    columns = rules().checker.columns
    rows = []
    for figure in figures or ({},):
        shown = {"Scenario": "Offline", "Result": "1.0", "Units": "Samples/s", "Model": "resnet", "inferred": "0"}
        row = {**dict.fromkeys(columns, ""), **SYSTEM, **shown, **fields, **figure}
        row["Location"] = f"there/{row['Scenario']}"
        rows.append([row["MlperfModel"] or row["Model"] if name == "MlperfModel" else row[name] for name in columns])
    found = hints_of(columns, rows, parts(), Rulebook(rules()))
    assert {hint.level for hint in found} <= {"hint"}
    return [(hint.rule, hint.path) for hint in found]


def of_system(**fields: str) -> list[str]:
    found = hints(**fields)
    assert {path for _, path in found} <= {f"closed/Acme/systems/{fields.get('Platform', 'box')}.json"}
    return [rule for rule, _ in found]


FINE = [
    {},
    {"SystemName": "NVIDIA DGX H100 (8x H100-SXM-80GB, TensorRT)"},
    {"SystemName": "A box (8xH100-SXM-80GBx8)"},
    {"Platform": "DGX-H100_H100-SXM-80GBx32_TRT", "number_of_nodes": "4"},
    {"Platform": "4x8xH100-SXM-80GB", "number_of_nodes": "4"},
    {"Platform": "xe9680_h100_x8_vllm_092"},
    {"SystemName": "DGX (8x H100\u2011SXM\u201180GB)"},
    {"Platform": "8xH100_2xEPYC-9575F"},
    {"Platform": "H100_on_x86_64"},
    {"Platform": "1-node-2S-GNR_128C"},
    {"Platform": "c1-node-7S"},
    {
        "Platform": "GB200-NVL72_GB200-186GB_aarch64x72_TRT", "accelerator_model_name": "NVIDIA GB200",
        "accelerators_per_node": "4", "number_of_nodes": "18",
    },
    {
        "Platform": "8xMI325X_2xEPYC_9655", "accelerator_model_name": "AMD Instinct MI325X 256GB HBM3e",
        "host_processor_model_name": "2xAMD EPYC 9655", "host_processor_core_count": "N/A",
    },
    {
        "SystemName": "Supermicro (2x8x MI325X-256GB) and (1x8x MI300X-192GB)", "number_of_nodes": "3",
        "Platform": "16xMI325X_8xMI300X_2xEPYC_9575F",
        "accelerator_model_name": "AMD Instinct MI325X 256GB (x16), AMD Instinct MI300X 192GB (x8)",
        "host_processor_model_name": "AMD EPYC 9575F (MI325X), AMD EPYC 9654 (MI300X)",
    },
    {
        "SystemName": "A PC (2x RTX 4090)", "accelerator_model_name": "NVIDIA GeForce RTX 4090",
        "accelerators_per_node": "2",
    },
    {
        "Platform": "SE100_RTX2000E_Ada_16GBx1", "accelerator_model_name": "NVIDIA RTX-2000E-Ada-16GB",
        "accelerators_per_node": "1",
    },
    {"Platform": "RTX4090x1-reference-cpu", "accelerator_model_name": "N/A", "accelerators_per_node": "0"},
    {"Platform": "R770_XEON6787Px2", "host_processor_model_name": "INTEL(R) XEON(R) 6787P"},
    {"host_processor_model_name": "Intel(R) Xeon(R) Platinum 8568Y+", "host_processor_core_count": "48"},
    {"host_processor_model_name": "AMD EPYC 7413 24-Core Processor", "host_processor_core_count": "8"},
    {"host_processor_model_name": "Intel Xeon Processor (SapphireRapids)", "host_processor_core_count": "480"},
    {"number_of_nodes": "some", "accelerators_per_node": "", "host_processors_per_node": "-2"},
]  # fmt: skip
ODD = [
    ({"Platform": "XE8640_4xH100_vLLM", "accelerators_per_node": "1"}, ["odd-accelerators"]),
    ({"SystemName": "A box (16x H100-SXM-80GB)"}, ["odd-accelerators"]),
    ({"Platform": "H100-SXM-80GBx4_TRT"}, ["odd-accelerators"]),
    ({"Platform": "2x8xH100"}, ["odd-accelerators"]),
    ({"Platform": "2xEPYC_9575F", "host_processors_per_node": "8"}, ["odd-processors"]),
    ({"SystemName": "R760 (1x AMD EPYC 9575F)"}, ["odd-processors"]),
    ({"Platform": "8xH100_2xEPYC_9554"}, ["odd-processor"]),
    ({"SystemName": "A box (8x H200-SXM-141GB)"}, ["odd-accelerator"]),
    ({"Platform": "1-node-2S-SPR", "number_of_nodes": "2"}, ["odd-nodes"]),
    ({"Platform": "1-node-4S-SPR"}, ["odd-nodes"]),
    ({"Platform": "smci355-8N-cluster"}, ["odd-nodes"]),
    ({"host_processor_core_count": "128"}, ["odd-cores"]),
    ({"host_processor_model_name": "NVIDIA Grace CPU", "host_processor_core_count": "144"}, ["odd-cores"]),
    ({"host_processor_model_name": "EPYC 7V13 64-Core Processor", "host_processor_core_count": "96"}, ["odd-cores"]),
    ({"host_processor_model_name": "AMD EPYC 7543", "host_processor_core_count": "128"}, ["odd-cores"]),
    ({"host_processor_model_name": "Intel(R) Xeon(R) Gold 6348 CPU @ 2.60GHz", "host_processor_core_count": "56"},
     ["odd-cores"]),
]  # fmt: skip


@pytest.mark.parametrize("fields", FINE)
def test_names_as_people_write_them_are_not_odd(fields):
    assert of_system(**fields) == []


@pytest.mark.parametrize(("fields", "rules_of"), ODD)
def test_names_and_fields_that_cannot_both_be_meant_are_odd(fields, rules_of):
    assert of_system(**fields) == rules_of


@pytest.mark.parametrize("text", ["H100 " * 200_000, "H100_" * 200_000, "8x" * 200_000, "8x " + "a " * 300_000])
def test_a_name_of_megabytes_costs_no_more_than_a_short_one(text):
    began = time.process_time()
    of_system(SystemName=text, accelerator_model_name=text, host_processor_model_name=text)
    assert time.process_time() - began < 2


def shown(scenario: str, result: float, unit: str = "Samples/s", **more: str) -> dict[str, str]:
    return {"Scenario": scenario, "Result": str(result), "Units": unit, **more}


MS = "Latency (ms)"
ONE_L4 = {"accelerator_model_name": "NVIDIA L4", "accelerators_per_node": "1"}
"""Of 72 W, in a server that draws far more: a published one drew 646 W."""
FIGURES = [
    ([shown("Server", 101, "Queries/s"), shown("Offline", 100)], []),
    ([shown("Server", 103, "Queries/s"), shown("Offline", 100)], [("odd-server", "there/Server")]),
    ([shown("Interactive", 103, "Tokens/s"), shown("Offline", 100, "Tokens/s")], [("odd-server", "there/Interactive")]),
    ([shown("Interactive", 103, "Queries/s"), shown("Offline", 100, "Tokens/s")], []),
    ([shown("Server", 103, "Queries/s"), shown("Offline", 100, Model="other")], []),
    ([shown("SingleStream", 2, MS), shown("Offline", 495)], []),
    ([shown("SingleStream", 2, MS), shown("Offline", 480)], [("odd-offline", "there/Offline")]),
    ([shown("SingleStream", 2, MS), shown("Offline", 480, inferred="1")], []),
    ([shown("SingleStream", 2, MS), shown("Offline", 480, "Tokens/s")], []),
    ([shown("MultiStream", 8, MS), shown("Offline", 900)], [("odd-offline", "there/Offline")]),
    ([shown("MultiStream", 8, MS), shown("SingleStream", 8.1, MS)], []),
    ([shown("MultiStream", 8, MS), shown("SingleStream", 9, MS)], [("odd-stream", "there/SingleStream")]),
    ([shown("Offline", 800_000)], []),
    ([shown("Offline", 4_000_000)], [("odd-rate", "there/Offline")]),
    ([shown("Offline", 4_000_000, Division="open")], []),
    ([shown("Offline", 4_000_000, accelerator_model_name="Acme 9000")], []),
    ([shown("Offline", 5000, "Watts")], []),
    ([shown("Offline", 400, "Watts")], [("odd-power", "there/Offline")]),
    ([shown("Offline", 14_000, "Watts")], [("odd-power", "there/Offline")]),
    ([shown("Offline", 710, "Watts", **ONE_L4)], []),
    ([shown("Offline", 1300, "Watts", **ONE_L4)], [("odd-power", "there/Offline")]),
    ([shown("SingleStream", 14_000_000, "millijoules")], []),
]


@pytest.mark.parametrize(("figures", "found"), FIGURES)
def test_figures_are_odd_where_the_scenarios_or_the_parts_contradict_them(figures, found):
    assert hints(*figures) == found


def test_a_hint_refuses_nothing_and_can_be_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    tree = good_tree(tmp_path / "tree")
    fields = {"host_processor_model_name": "AMD EPYC 9575F", "host_processor_core_count": 128}
    write(tree / "closed" / "Acme" / "systems" / "box.json", json.dumps(system_json("closed", "box", "edge", **fields)))
    assert run(["submission", "check", str(tree), "--round", "v5.1"]) == 0
    out = capsys.readouterr().out
    assert "closed/Acme/systems/box.json: hint: `host_processor_core_count` is 128; AMD EPYC 9575F has 64: " in out
    assert "0 errors, 0 warnings, 1 hint: nothing would be refused" in out
    document = api.submission.check(tree, round="v5.1")
    assert (document["good"], document["rules"]) == (True, {"odd-cores": 1})
    assert api.submission.check(tree, round="v5.1", skip=["odd-cores"])["findings"] == []
    assert run(["submission", "check", str(tree), "--round", "v5.1", "--format", "github"]) == 0
    assert capsys.readouterr().out.startswith("::notice ")
    assert run(["submission", "summary", str(tree), "--round", "v5.1", "--html", str(tmp_path / "page.html")]) == 0
    assert "odd-cores" in (tmp_path / "page.html").read_text()


def test_a_system_of_which_all_would_be_refused_has_hints_by_its_description(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    tree = good_tree(tmp_path / "tree")
    fields = {"host_processor_model_name": "AMD EPYC 9575F", "host_processor_core_count": 128, "status": "no"}
    path = "closed/Acme/systems/box.json"
    write(tree / path, json.dumps(system_json("closed", "box", "edge", **fields)))
    document = api.submission.check(tree, round="v5.1")
    assert document["rows"] == 1
    assert [(each["path"], each["level"]) for each in document["findings"] if each["rule"] == "odd-cores"] == [
        (path, "hint")
    ]
    write(tree / path, "[]")
    assert "odd-cores" not in api.submission.check(tree, round="v5.1")["rules"]


def test_the_docs_say_every_hint():
    page = (Path(__file__).parents[3] / "docs" / "submission.md").read_text()
    assert [hint.id for hint in HINTS if f"`{hint.id}`" not in page] == []


def test_every_figure_of_a_part_is_found_by_a_published_name():
    known = parts()
    assert known.cores_of("Intel(R) Xeon(R) Platinum 8480+") == 56
    assert known.cores_of("AMD EPYC 9654 96-Core Processor") == 96
    assert known.cores_of("AMD EPYC 9534, AMD EPYC 9655") is None
    found = known.accelerator_of("AMD Instinct MI300X-NPS1-SPX-192GB-750W")
    assert found is not None
    assert found.watts == 750
    assert known.accelerator_of("NVIDIA GH200 Grace Hopper Superchip 144GB").words == ("gh200",)
    assert known.accelerator_of("AMD Instinct MI300X 192GB HBM3 (x32), AMD Instinct MI325X 256GB HBM3e (x16)") is None
    assert known.accelerator_of("N/A") is None


def test_a_variant_that_draws_more_is_not_taken_for_what_it_is_a_variant_of():
    known = parts()
    plain, variant = (known.accelerator_of(f"NVIDIA H200-SXM-141GB{suffix}") for suffix in ("", "-CTS"))
    assert plain is not None
    assert variant is not None
    assert (plain.watts, variant.watts) == (700, 1000)
    drawn = shown("Offline", 13_000, "Watts")
    assert hints(drawn, accelerator_model_name="NVIDIA H200-SXM-141GB") == [("odd-power", "there/Offline")]
    assert hints(drawn, accelerator_model_name="NVIDIA H200-SXM-141GB-CTS") == []
