# ruff: noqa: T201
"""Images built once and reused: published from one engine, run on another whose store is empty, nothing built.

    .venv/bin/python tests/reuse_two_engines.py [--tls]     (after `make test`: it needs what the tests need)

Starts a registry of the distribution's package on this machine and a second engine of its
own; the first is the one that mlorch uses. With `--tls` the registry has TLS, a password
and an address that is not loopback, and the second engine is given the registry's CA.
Prints what was pulled and `layers built: 0`; exits with 1 where anything was built.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "engine"))

from registry_parts import another_engine, certificates, registry

from orchestrator.host.folders import cache_home

BENCHMARK, ASSETS = "image-fashion", ("resnet8-fashion", "fashion-mnist")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls", action="store_true", help="TLS, a password, no loopback address")
    tls = parser.parse_args().tls
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlorch-reuse-")))
        ca = certificates(folder / "registry/tls") if tls else None
        second = stack.enter_context(another_engine(ca=ca))
        running = stack.enter_context(
            registry(folder / "registry", tls=True, login=True, address=second.address, loopback_too=True)
            if tls
            else registry(folder / "registry")
        )
        secrets = (
            {"XDG_CONFIG_HOME": str(running.trusted_in(folder / "config")),
             "DOCKER_CONFIG": str(running.login(folder / "docker"))} if tls else {}
        )  # fmt: skip
        listed = folder / "published.json"
        _first(running.at("127.0.0.1"), listed, secrets)
        return _second(second, running.host, listed, secrets)


def _first(host: str, listed: Path, secrets: dict[str, str]) -> None:
    """Build (or find) the images on the first engine, fetch the assets, publish."""
    env = {key: value for key, value in os.environ.items() if key != "MLORCH_REGISTRIES"}
    built = mlorch("build", "--benchmark", BENCHMARK, "--json", env=env)
    mlorch("assets", "get", *ASSETS, env=env)
    sent = mlorch(
        "images", "push", f"{host}/ci", "--benchmark", BENCHMARK, "-o", str(listed), "--json", env=env | secrets
    )
    states = [layer["state"] for layer in json.loads(built)["layers"]]
    print(f"first engine:  layers built: {states.count('built')}, found: {states.count('hit')}")
    pushed = json.loads(sent)["pushed"]
    print(f"registry:      {host}: {len(pushed)} layers published")


def _second(second, host: str, listed: Path, secrets: dict[str, str]) -> int:
    """Run on the second engine, which may not build; the models and data are those of the first."""
    cache = second.home / "cache"
    cache.mkdir()
    (cache / "assets").symlink_to(cache_home() / "assets")
    digests = {row["layer"]: row["digest"] for row in json.loads(listed.read_text())["images"]}
    top = list(digests.values())[-1]
    assert second.names() == []
    said = mlorch(
        "run", BENCHMARK, "--scenario", "Offline", "--mode", "accuracy", "--no-build", "--json",
        "-o", second.home / "results",
        env=second.env(MLORCH_REGISTRIES=f"{host}/ci", **secrets),
    )  # fmt: skip
    result = json.loads(said)["results"][0]
    accuracy = result["metrics"]["accuracy"]
    assert result["image_digest"] == top, f"ran {result['image_digest']}, published was {top}"
    names = second.names()
    built = len(second.engine.sdk.df()["BuildCache"] or ())
    print(f"second engine: layers pulled: {len(names)} ({names[0].partition(':')[0]}@{top})")
    print(f"second engine: {BENCHMARK} Offline accuracy: {100 * accuracy['value']:.2f} %")
    print(f"layers built: {built}")
    return 1 if built or len(names) != 1 else 0


def mlorch(*arguments, env: dict[str, str]) -> str:
    """What a command prints; what it says where it fails."""
    command = [Path(sys.executable).parent / "mlorch", *arguments]
    done = subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"mlorch {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
