"""Users, passwords and signatures in addresses are nowhere: one function takes them out, at every door."""

from __future__ import annotations

import json

import pytest

from orchestrator.console import Console, error_document
from orchestrator.errors import AssetError
from orchestrator.facts.redact import redacted_text
from orchestrator.host.git import commit_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fatal: https://me:s3cret@host/x failed", "fatal: https://[redacted]@host/x failed"),
        ("https://me:p@ss:w0rd@host/x", "https://[redacted]@host/x"),
        ("https://ghp_s3cret@host/x", "https://[redacted]@host/x"),
        ("ssh://git@host/x and git+ssh://me:s3cret@host/y", "ssh://git@host/x and git+ssh://[redacted]@host/y"),
        ("https://host/x?X-Amz-Signature=s3cret&y=1", "https://host/x?X-Amz-Signature=[redacted]&y=1"),
        ("https://x.blob.example/a?sv=1&sig=s3c%2Fret&se=2", "https://x.blob.example/a?sv=1&sig=[redacted]&se=2"),
        ("https://host/x?access_token=s3cret", "https://host/x?access_token=[redacted]"),
        ("'https://a:s3cret@host/' is not https://host/@b", "'https://[redacted]@host/' is not https://host/@b"),
        ("image a@sha256:12 at reg.example/a@sha256:34", "image a@sha256:12 at reg.example/a@sha256:34"),
    ],
)
def test_what_an_address_holds_of_secrets_is_taken_out_and_nothing_else(text, shown):
    assert redacted_text(text) == shown


@pytest.mark.processes
def test_gits_own_words_lose_the_password_of_the_address(tmp_path):
    url = "https://me:s3cret@127.0.0.1:1/x"
    with pytest.raises(AssetError) as caught:
        commit_of(url, "main")
    assert "s3cret" not in repr([caught.value.message, caught.value.hint, caught.value.detail])
    with pytest.raises(AssetError) as caught:
        commit_of("https://upstream.example/x", "main", {"https://upstream.example": "https://me:s3cret@127.0.0.1:1"})
    assert "s3cret" not in repr([caught.value.message, caught.value.hint, caught.value.detail])
    assert "127.0.0.1:1" in caught.value.hint


def test_the_doors_of_the_console_let_no_password_through(capsys, monkeypatch):
    error = AssetError("cannot get https://me:s3cret@host/x", hint="see https://me:s3cret@host/y")
    for name in ("", "true"):
        monkeypatch.setenv("GITHUB_ACTIONS", name)
        console = Console()
        for problem in error.problems():
            console.problem(problem)
        console.warn(error.message)
        console.say(error.message)
    console.document(error_document(error))
    shown = capsys.readouterr()
    assert "s3cret" not in shown.err + shown.out
    assert json.loads(shown.out)["error"]["message"] == "cannot get https://[redacted]@host/x"
