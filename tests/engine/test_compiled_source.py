"""LoadGen compiled from its source on the real engine, as platforms get it whose index has no wheel."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from docker_parts import spec

from orchestrator.host.folders import cache_home
from orchestrator.images.rebuild import Rebuilder
from orchestrator.operations.context import Context

pytestmark = [pytest.mark.engine, pytest.mark.large, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
# One Offline query through queries and callbacks of LoadGen; what it logs goes to /tmp.
PROGRAM = """
import mlperf_loadgen as lg, os
os.chdir("/tmp")
seen = []
def issue(samples):
    seen.extend(samples)
    lg.QuerySamplesComplete([lg.QuerySampleResponse(s.id, 0, 0) for s in samples])
settings = lg.TestSettings()
settings.scenario, settings.mode = lg.TestScenario.Offline, lg.TestMode.AccuracyOnly
sut, qsl = lg.ConstructSUT(issue, lambda: None), lg.ConstructQSL(8, 8, lambda _: None, lambda _: None)
lg.StartTest(sut, qsl, settings)
assert sorted(s.index for s in seen) == list(range(8)), seen
lg.DestroyQSL(qsl); lg.DestroySUT(sut)
print("eight samples")
"""


def test_it_runs_holds_no_compiler_and_is_the_same_each_time(site, engine):
    (site.folder / "images").mkdir(parents=True)
    shipped = (ROOT / "images" / "loadgen.lock.yaml").read_text()
    head, _, rest = shipped.partition("  linux/amd64:")
    source = rest.partition("  linux/arm64:")[2]
    lock = head.replace("layer: loadgen", "layer: t-source") + "  linux/amd64:" + source
    (site.folder / "images" / "t-source.lock.yaml").write_text(lock)
    template = (ROOT / "dockerfiles" / "python.Dockerfile.j2").read_text() + f"# {secrets.token_hex(4)}\n"
    site.layer(
        "t-source", template, python="[mlcommons-loadgen==6.0.17]", toolchain="toolchain-cpp",
        from_source="{linux/amd64: [mlcommons-loadgen]}",
    )  # fmt: skip
    image = site.build("t-source", base_source="bootstrap")[-1].image
    lines: list[str] = []
    script = f"for p in gcc g++ ld faketime; do command -v $p; done; python3 -c '{PROGRAM}'"
    ended = engine.run(spec(image, script, memory=512 << 20, tmpfs={"/tmp": "size=67108864,mode=1777"}), lines.append)
    assert ended.exit_code == 0, lines
    assert lines[-1] == "eight samples"
    assert not [line for line in lines if line.startswith("/")], "a compiler is in the image"
    step = site.plans("t-source", base_source="bootstrap")[0].layers[-1]
    context = Context((str(site.folder),))
    with context.build_settings() as settings:
        rebuilder = Rebuilder(engine=engine, settings=settings, parts=context.parts(), cache=cache_home())
        (again,) = rebuilder.verify([step])
    engine.remove_image(image)
    assert (again.state, again.difference) == ("identical", None)
