"""Where somebody else's program finds its files, whose name it has, and what it may write over."""

from __future__ import annotations

import pytest
from external_plan_parts import PROGRAM, external
from pydantic import ValidationError

from orchestrator.definitions.kinds.external import Program
from orchestrator.errors import DefinitionError
from orchestrator.plan.run.external.plan import plan_external

ENGINES = {"name": "engines", "role": "prepare", "argv": ["build"], "artifact": {"files": ["done"]}}


def at(step, target):
    """What a step finds at ``target``: the host's folder, and whether it may write there."""
    (mount,) = [mount for mount in step.container.mounts if mount.target == target]
    return mount.source, not mount.read_only


def test_a_program_finds_model_and_artefact_at_its_own_places_and_writes_only_what_it_makes():
    links = [{"path": "/work/build/models", "to": "{model}"}, {"path": "/work/engines", "to": "{artifacts}/engines"}]
    run, _ = plan_external(external({"links": links, "steps": [ENGINES, *PROGRAM["steps"]]}, model="/models/m"))
    engines, test = run.steps
    assert at(engines, "/work/build/models") == at(test, "/work/build/models") == ("/host/m", False)
    assert at(engines, "/work/engines") == at(engines, "/artifacts/engines") == (engines.artifact.source, True)
    assert at(test, "/work/engines") == (engines.artifact.source, False)


def test_an_artefact_is_made_anew_when_its_step_finds_things_elsewhere():
    def key(path):
        links = [{"path": path, "to": "{model}"}]
        run, _ = plan_external(external({"links": links, "steps": [ENGINES, *PROGRAM["steps"]]}, model="/models/m"))
        return run.steps[0].artifact.key

    assert key("/work/a") != key("/work/b")


def test_a_seeded_folder_is_filled_from_the_image_by_the_user_of_the_run_before_anything_else():
    folder = {"path": "/work/build", "kind": "results", "seeded": "true", "reason": "it writes beside its programs"}
    run, _ = plan_external(external({"writable": [folder]}))
    copy, test = run.steps
    assert copy.container.command == ("cp", "-dRp", "/work/build/.", "/results/work-build/")
    assert (copy.container.user, copy.container.network, copy.container.read_only) == ("1000:1000", "none", True)
    assert "/work/build" not in [mount.target for mount in copy.container.mounts]
    assert at(test, "/work/build") == ("/host/results/r1/work-build", True)
    assert run.folders == ("work-build",)
    assert run.deviations == ("writable /work/build (a copy of the image's): it writes beside its programs",)


def test_a_program_that_asks_who_it_is_gets_a_name_for_the_users_number():
    run, _ = plan_external(external({"user": "tester"}))
    (users,) = [file for file in run.files if file.name == "user-passwd"]
    assert "tester:x:1000:1000::/scratch:/bin/sh" in users.text.splitlines()
    assert at(run.test, "/etc/passwd") == ("/host/results/r1/config/user-passwd", False)


def test_a_name_for_the_user_and_a_passwd_file_of_the_recipe_exclude_each_other():
    with pytest.raises(DefinitionError, match="cannot both be there"):
        plan_external(external({"user": "tester", "files": [{"path": "/etc/passwd", "text": "x"}]}))


def test_a_command_can_stand_in_for_one_of_the_image():
    file = {"path": "/usr/bin/sudo", "text": "#!/bin/sh\necho left to the host\n", "executable": "true"}
    run, _ = plan_external(external({"files": [file]}))
    assert [(one.name, one.executable) for one in run.files] == [("0-sudo", True)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"links": [{"path": "/work/x", "to": "{artifacts}/engines"}]}, "no such step makes an artefact"),
        ({"links": [{"path": "/work/x", "to": "/etc"}]}, "to"),
        ({"links": [{"path": "/work/x", "to": "{results}"}]}, "to"),
        ({"links": [{"path": "/results/x", "to": "{model}"}]}, "lies in /results"),
        ({"links": [{"path": "/opt/theirs/tmp", "to": "{model}"}]}, "both a link and something else"),
        ({"links": [{"path": "/opt/theirs/build/m", "to": "{model}"}]}, "an engine would write into it"),
        ({"writable": [{"path": "/w", "seeded": "true", "reason": "it must write"}]}, "kind: results"),
        ({"user": "0"}, "user"),
    ],
)
def test_places_that_cannot_be_are_refused(change, why):
    with pytest.raises(ValidationError, match=why):
        Program.model_validate({**PROGRAM, **change})
