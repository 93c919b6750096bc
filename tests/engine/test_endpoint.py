"""`mlorch run --endpoint`: servers of this test are measured from a container, as a user does it, good and bad."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme
from little_servers import Script, good, plain, serving

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
KEY = "sk-ThisMustNotBeSeenAnywhere42"
CPUS = sorted(os.sched_getaffinity(0))
AT_ONCE = 16
"""Requests; each is a thread of this test's server."""
QUICK = (
    "-m", "performance", "--duration", "1s", "--set", "generation.limit=4", "--json",
    *(f"--set=scenarios.{name}.batch={AT_ONCE}" for name in ("Offline", "Server", "SingleStream")),
)  # fmt: skip


@pytest.fixture(scope="module")
def _built(mlorch):
    """The client's image and the questions are there before anything is timed."""
    done = mlorch("build", "--target", "cpu", "--benchmark", "llm-chat", "--set", "frameworks=[openai]", timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    done = mlorch("assets", "get", "gsm8k-100", timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


def words(url: str, model: str, cpu: int, results: Path) -> list[str]:
    """The command line of a short run against an endpoint."""
    asked = ["run", "--endpoint", url, "--model", model, "--dataset", "llm-chat", "-t", "cpu", *QUICK]
    return [*asked, "--cpus", str(cpu), "-o", str(results)]


@pytest.fixture(scope="module")
def nobody(mlorch, tmp_path_factory, _built):
    """A run against a port where nothing listens, which waits half a minute for what may still load.

    It goes on beside the other tests, on a processor of its own.
    """
    results = tmp_path_factory.mktemp("nobody")
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody else may have it
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        argv = [*mlorch.command, *words(url, "small", CPUS[-1], results), "-s", "Offline"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        yield process
        process.kill()
        process.wait()


@pytest.fixture
def ask(mlorch, tmp_path, nobody, engine):
    """Measures an endpoint; gives the finished process, its results and their records. Nothing is left running."""

    def run(url: str, *more: str, model: str = "small", home: Path | None = None):
        env = os.environ | {"NO_COLOR": "1"} | ({} if home is None else {"XDG_DATA_HOME": str(home)})
        done = mlorch(*words(url, model, CPUS[0], tmp_path / "results"), *more, env=env, timeout=600)
        return done, *told(done.stdout, done.stderr, engine)

    (tmp_path / "results").mkdir()
    return run


def told(out: str, err: str, engine) -> tuple[list[dict], list[dict]]:
    """The results of a run and their records; of its containers none is left."""
    results = json.loads(out)["results"] if out else []
    assert "Traceback" not in err
    assert not any(engine.containers(f"org.mlorch.run={one['run_id']}") for one in results)
    return results, [json.loads(Path(one["record"]).read_text()) for one in results]


@contextmanager
def with_tls(script: Script, folder: Path, host: str):
    """The server with a certificate of an authority of its own, whose file lies in ``folder``."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with serving(script, context, host) as url:
        yield url


def gateway(engine) -> str:
    """This host's address on the engine's bridge."""
    (config, *_) = engine.sdk.inspect_network("bridge")["IPAM"]["Config"]
    with closing(socket.socket()) as probe:
        try:
            probe.bind((config["Gateway"], 0))
        except OSError:
            pytest.skip("the engine's bridge has no address on this host")
    return config["Gateway"]


# -- servers that can be measured ----------------------------------------------------------


def test_a_server_on_loopback_is_measured_with_its_key_which_stands_nowhere(ask, engine, tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    seen: list[str] = []

    def answer(asked):
        if not seen:  # how the container runs that asks
            for one in engine.sdk.containers(filters={"label": "org.mlorch.run"}):
                seen.append(json.dumps(engine.sdk.inspect_container(one["Id"])))
        return good(asked)

    with serving(Script(answer, wants_key=KEY)) as url:
        done, results, records = ask(url, "-s", "Server", "--endpoint-key-file", str(tmp_path / "key"))
    assert done.returncode == 0, done.stderr[-3000:]
    (result, *_), (record, *_) = results[-1:], records[-1:]
    assert (result["verdict"], result["valid"]) == ("VALID", True)
    assert result["metrics"]["rate_source"] == "calibrated", "told as not searched"
    assert result["metrics"]["result"]["unit"] == "tokens/s"
    endpoint = record["endpoint"]
    assert (endpoint["url"], endpoint["model"], endpoint["ours"]) == (url, "small", False)
    assert endpoint["said"] == {"owner": "vllm", "models": "small"}
    assert record["deviations"] == [
        f"network host: {url} listens on this host's loopback device, which no other network reaches"
    ]
    assert record["container"]["network"] == "host"
    assert record["container"]["deployed"]["differences"] == []
    assert {each["content"] for each in record["container"]["mounts"]} >= {"dataset:gsm8k-100", "results"}
    assert not any(each["content"].startswith("model:") for each in record["container"]["mounts"])
    assert record["model"]["files"] == {}
    assert record["accuracy_goal"] is None
    assert "which mlorch neither built nor started" in record["note"]
    assert any(results[0]["run_id"] in text for text in seen), "its container was looked at while it asked"
    texts = [done.stdout, done.stderr, *seen]
    texts += [path.read_text(errors="replace") for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(texts) > 8
    assert not any(KEY in text for text in texts)
    verified = subprocess.run(
        [sys.executable, "-m", "orchestrator", "results", "verify", result["run_id"], "--results",
         str(tmp_path / "results")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr


def test_a_server_elsewhere_is_reached_over_a_bridge_and_by_the_authority_that_is_named(ask, engine, tmp_path):
    host = gateway(engine)
    with with_tls(Script(good), tmp_path, host) as url:
        done, _, (*_, record) = ask(url, "-s", "Offline", "--endpoint-ca-file", str(tmp_path / "ca.pem"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert record["container"]["network"] == "bridge"
    assert record["deviations"] == [f"network bridge: the system under test, {url}, is not in a container of this run"]
    assert record["measured"]["verdict"] == "VALID"


def slowly(asked):
    """An answer that takes at least a twentieth of a second, so that 16 at once are some hundreds a second."""
    time.sleep(0.05)
    return good(asked)


def test_the_rate_that_a_server_takes_is_found_and_is_no_other_server_s(ask, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with serving(Script(slowly)) as url:
        _, _, (found,) = ask(url, "-s", "Server", "--find", home=home)
        search = found["search"]
        assert search["by"] == "find"
        assert any(one["valid"] for one in search["tries"])
        assert search["stopped"]
        stored = list((home / "mlorch" / "systems").glob("endpoint-*.json"))
        if not found["valid"] or found["disturbance"]["reasons"]:  # a machine that others use
            assert not stored
            return
        (kept,) = json.loads(stored[0].read_text())["tuned"].values()
        assert kept["endpoint"] == f"small at {url}"
        assert kept["settings"].keys() == {"target_qps"}
        _, _, (again,) = ask(url, "-s", "Server", home=home)
        rate = again["settings"]["loadgen.target_qps"]
        assert (rate["value"], rate["source"]) == (pytest.approx(kept["settings"]["target_qps"]), "system")
    with serving(Script(slowly)) as other:
        _, _, records = ask(other, "-s", "Server", home=home)
        assert records[0]["settings"]["loadgen.target_qps"]["source"] == "calibrated"


# -- servers that cannot -------------------------------------------------------------------


def failed(asked, said: str) -> dict:
    """The record of a test that failed with one line that says so."""
    done, (result,), (record,) = asked
    assert done.returncode == 1
    assert (record["status"], result["verdict"]) == ("failed", "FAILED")
    assert re.search(said, record["error"]["message"]), record["error"]["message"]
    assert re.search(said, " ".join(result["reasons"]))
    assert record["endpoint"]["ours"] is False
    return record


def test_a_wrong_key_is_refused_and_not_repeated(ask, tmp_path):
    (tmp_path / "key").write_text("sk-OfSomebodyElse")
    with serving(Script(good, wants_key=KEY)) as url:  # which repeats the key that it was given
        asked = ask(url, "-s", "Offline", "--endpoint-key-file", str(tmp_path / "key"))
    record = failed(asked, r"refuses the key, or wants one \(401\)")
    texts = [path.read_text(errors="replace") for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert not any("sk-OfSomebodyElse" in text for text in [*texts, json.dumps(record), asked[0].stderr])


def test_a_certificate_of_nobody_is_refused(ask, tmp_path):
    with with_tls(Script(good), tmp_path, "127.0.0.1") as url:
        began = time.monotonic()
        failed(ask(url, "-s", "Offline"), "certificate that nobody here vouches for")
        assert time.monotonic() - began < 20, "it is not waited for"


def test_a_page_for_people_is_no_server_of_this_interface(ask):
    html = plain(200, b"<html><body>Welcome</body></html>", kind="text/html")
    with serving(Script(good, pages={"/v1/models": lambda _: [html]})) as url:
        failed(ask(url, "-s", "Offline"), "no server of OpenAI's interface")


def test_a_model_that_the_server_does_not_have_is_told_with_those_that_it_has(ask):
    with serving(Script(good)) as url:
        failed(ask(url, "-s", "Offline", model="large"), "has no model `large`; it has: small")


def test_where_nothing_listens_is_told(nobody, engine):
    out, err = nobody.communicate(timeout=300)
    failed((nobody, *told(out, err, engine)), r"cannot be reached.*\(for 30 s\)")


def test_a_server_that_dies_in_mid_run_ends_the_test(ask, tmp_path):
    """The project's own null server, killed when LoadGen has begun."""
    null = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.harness.nullserver", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        port = null.stdout.readline().split()[-1]
        watch = subprocess.Popen([sys.executable, "-c", KILL, str(tmp_path / "results"), str(null.pid)])
        began = time.monotonic()
        asked = ask(f"http://127.0.0.1:{port}", "-s", "SingleStream", "--duration", "60s", model="null")
        assert watch.wait(60) == 0
    finally:
        null.kill()
        null.wait()
        null.stdout.close()
    failed(asked, "(closed|broke) the connection|cannot be reached")
    assert time.monotonic() - began < 45, "nobody waits for what is gone"


KILL = """
import os, pathlib, signal, sys, time
folder, pid = pathlib.Path(sys.argv[1]), int(sys.argv[2])
limit = time.monotonic() + 60
while not any('"name": "test"' in log.read_text() for log in folder.glob("*/console.log")):
    if time.monotonic() > limit:
        sys.exit(1)
    time.sleep(0.05)
time.sleep(0.5)
os.kill(pid, signal.SIGKILL)
"""
