"""A plain user, from nothing to a result: podman is offered, unpacked, started and used, with one id and with many."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from plain_user import UID, PlainUser, why_not

from orchestrator.engines.private import podman as own
from orchestrator.host.folders import cache_home

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "fits"),
]


@pytest.fixture(scope="module")
def folder():
    """On a disk, which the folder of temporary files need not be, and where a user gets to it."""
    place = Path(tempfile.mkdtemp(prefix="mlorch-plain-", dir="/var/tmp"))
    place.chmod(0o755)
    yield place
    for program in place.glob("*/.local/share/mlorch/podman/podman"):  # its process that holds the namespace ends
        PlainUser(program.parents[4], helper=None).run(str(program), "system", "migrate")
    # What podman left belongs to ids of the user's ranges; root may remove it.
    for left in (place, *Path("/tmp").glob(f"*-{UID}")):
        shutil.rmtree(left, ignore_errors=True)


def linked(source: str, target: str) -> None:
    """The same file, where the file system can; some are gigabytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def user(folder):
    """Without any helper, as on a cluster's node; what was downloaded before need not come again."""
    user = PlainUser(folder / "home", helper=None)
    lent = cache_home() / "downloads"
    if os.geteuid() == 0 and lent.is_dir():
        cache = user.home / ".cache/mlorch"
        unfinished = shutil.ignore_patterns("*.lock", "*.part", "*.json")
        shutil.copytree(lent, cache / "downloads", ignore=unfinished, copy_function=linked)
        for path in (user.home / ".cache", cache, *cache.rglob("*")):
            if path.is_dir():  # the files are root's own, and open to all
                os.chown(path, UID, UID)
    return user


def lend_podman(home: Path) -> None:
    """What `make test` has unpacked for root: a user's own, with its libraries found where it lies now."""
    if os.geteuid() != 0 or not (own.home() / "root/packages.json").exists():
        return  # it comes from the distribution's archives
    source = own.home() / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in ("MLORCH_HOME", "XDG_DATA_HOME"):
            patch.delenv(name, raising=False)
        shutil.copytree(source, own.home() / "root", symlinks=True)
        own._link(own.home() / "root")
    for path in (home / ".local", *(home / ".local").rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)


@pytest.fixture(scope="module")
def ensured(user):
    """What `engine ensure` said and gave, the first time."""
    refused = user.mlorch("engine", "ensure")
    assert refused.returncode == 4
    assert "download podman" in refused.stderr
    assert "not-asked" in refused.stderr
    lend_podman(user.home)
    done = user.mlorch("engine", "ensure", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def program_of(status: dict[str, str]) -> str:
    """The podman of an `engine status`."""
    return status["host"].removeprefix("exec://")


def test_it_ends_with_a_podman_that_has_started_a_container(user, ensured):
    assert (ensured["name"], ensured["rootless"], ensured["can_build"]) == ("podman", True, True)
    images = user.run(program_of(ensured), "images", "--quiet", "--all")
    assert images.stdout == "", "the image that it was tried with is gone"


def test_doctor_names_what_works_and_what_one_id_cannot(user, ensured):
    done = user.mlorch("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["engine"]["state"] == "ok"
    assert "podman" in checks["engine"]["what"]
    assert "one id only" in checks["builder"]["what"], "the ranges are there, and nobody who may map them"
    assert "uidmap" in checks["builder"]["hint"]


@pytest.mark.slow
def test_the_second_of_the_two_commands_gives_a_result(user, ensured):
    arguments = ("image-fashion", "--scenario", "Offline", "--duration", "2s", "-o", str(user.home / "results"))
    done = user.mlorch("run", *arguments, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout)["results"]
    accuracy = next(one for one in results if one["mode"] == "accuracy")
    assert accuracy["metrics"]["accuracy"]["value"] == 0.9154
    measured = [one for one in results if one["mode"] == "performance"][-1]  # a guessed rate is tried again
    assert measured["valid"] is True
    owners = {path.stat().st_uid for path in (user.home / "results").rglob("*")}
    assert owners == {UID if os.geteuid() == 0 else os.geteuid()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a helper that is setuid")
def test_with_the_hosts_setuid_helper_there_are_many_ids(user, ensured, folder):
    """The unpacked helper, which is not setuid, stands before it and is not taken."""
    helpers = folder / "helpers"
    helpers.mkdir()
    for name in ("newuidmap", "newgidmap"):
        source = shutil.which(name) or user.home / ".local/share/mlorch/podman/root/usr/bin" / name
        shutil.copy(source, helpers / name)
        os.chown(helpers / name, 0, 0)
        (helpers / name).chmod(0o4755)
    many = PlainUser(folder / "many", helper=helpers)
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    for name in ("newuidmap", "newgidmap"):
        shutil.copy(helpers / name, unpacked / name)
        (unpacked / name).chmod(0o755)
    many.env["PATH"] = f"{unpacked}:{many.env['PATH']}"
    lend_podman(many.home)
    done = many.mlorch("engine", "ensure", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    doctor = json.loads(many.mlorch("doctor", "--json").stdout)["checks"]
    builder = next(check for check in doctor if check["name"] == "builder")
    assert builder["state"] == "ok", builder
    ids = many.run(program_of(json.loads(done.stdout)), "unshare", "cat", "/proc/self/uid_map")
    assert len(ids.stdout.splitlines()) == 2, ids.stdout + ids.stderr
