"""`mlorch run --endpoint`: the address, the model and the key of a server that is there already."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.definitions.given_files import read_given
from orchestrator.errors import UsageError
from orchestrator.facts.endpoints import Endpoint
from orchestrator.host.scratch import secret_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.operations.run.request import RunRequest

_LONGEST_KEY = 4096
_LARGEST_CA = 2**20
_CALLS = ("/chat/completions", "/completions", "/models")
"""What clients of OpenAI's interface put behind an address."""
_NO_FILE_YET = "/not/known/yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEndpoint:
    """An endpoint whose files lie where a container can have them, and the key, which no log may show."""

    endpoint: Endpoint
    key: str = ""


def check_endpoint(request: RunRequest) -> None:
    """Whether the options fit each other. Raises `UsageError` (`endpoint`)."""
    if not request.endpoint:
        for name, given in _options(request).items():
            if given:
                raise _refused(f"{name} is said of an endpoint, and none is named", "add --endpoint URL")
        return
    _check_url(request.endpoint)
    if not request.endpoint_model:
        raise _refused("--endpoint needs the name of a model", "add --model NAME, as the server calls it")
    if not request.benchmarks:
        raise _refused("--endpoint needs the questions to ask", "add --dataset llm-chat")
    for name, given in {"--roles": request.roles, "--suite": request.suite}.items():
        if given:
            raise _refused(f"{name} and --endpoint exclude each other", "give one of them")
    if request.endpoint_key_file and request.endpoint_key_env:
        raise _refused("the key comes from a file or a variable, not both", "give one of them")


def _refused(why: str, hint: str) -> UsageError:
    return UsageError(why, hint=hint, slug="endpoint")


def _options(request: RunRequest) -> dict[str, str]:
    return {
        "--model": request.endpoint_model,
        "--dataset": request.endpoint_dataset,
        "--endpoint-key-file": request.endpoint_key_file,
        "--endpoint-key-env": request.endpoint_key_env,
        "--endpoint-ca-file": request.endpoint_ca_file,
    }


def _check_url(url: str) -> None:
    hint = "give it as http://127.0.0.1:8000 or https://HOST; a key goes into --endpoint-key-file"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"the endpoint is no address: {error}", hint=hint, slug="endpoint") from error
    # (blanks and line ends are dropped before the parts are cut: the parts would be another address than the whole)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable() or " " in url:
        raise UsageError("the endpoint is no address of HTTP", hint=hint, slug="endpoint")
    if "@" in parts.netloc or "?" in url or "#" in url:  # empty ones too: paths are put behind the address
        raise UsageError("the endpoint's address has a user, password, query or fragment", hint=hint, slug="endpoint")
    for call in _CALLS:
        if parts.path.rstrip("/").endswith(call):
            shorter = url.rstrip("/").removesuffix(call)
            raise UsageError(
                f"the endpoint's address goes on to one call, {call}", hint=f"give {shorter}", slug="endpoint"
            )


def planned_endpoint(request: RunRequest) -> Endpoint | None:
    """For a dry run, which reads no key: where the files would be mounted from is not known yet."""
    if not request.endpoint:
        return None
    return Endpoint(
        url=request.endpoint,
        model=request.endpoint_model,
        key_source=f"{_NO_FILE_YET}/key" if request.endpoint_key_file or request.endpoint_key_env else "",
        ca_source=f"{_NO_FILE_YET}/ca.pem" if request.endpoint_ca_file else "",
    )


@contextlib.contextmanager
def ready_endpoint(request: RunRequest, user: str) -> Iterator[ReadyEndpoint | None]:
    """The endpoint, with its files in a folder of this process's that is removed at the end; None where there is none.

    ``user`` (``uid:gid``) is who reads them in the container. Raises `UsageError` (`endpoint`) for a key that is none.
    """
    if not request.endpoint:
        yield None
        return
    key = _key(request)
    with secret_folder() as folder:  # for its owner alone; an engine mounts files from it
        endpoint = Endpoint(
            url=request.endpoint,
            model=request.endpoint_model,
            key_source=_private(folder / "key", key.encode(), user) if key else "",
            ca_source=_private(folder / "ca.pem", _authorities(request), user) if request.endpoint_ca_file else "",
        )
        yield ReadyEndpoint(endpoint=endpoint, key=key)


def _private(path: Path, data: bytes, user: str) -> str:
    """A file that ``user`` alone reads."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        if os.geteuid() == 0:
            uid, _, gid = user.partition(":")
            os.fchown(file.fileno(), int(uid), int(gid or uid))
    return str(path)


def _key(request: RunRequest) -> str:
    """The key, from where it is; the error does not repeat it."""
    if request.endpoint_key_env:
        key, where = os.environ.get(request.endpoint_key_env, ""), f"the variable {request.endpoint_key_env}"
    elif request.endpoint_key_file:
        where = request.endpoint_key_file
        key = _read(Path(where), _LONGEST_KEY).decode(errors="replace")
    else:
        return ""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise _refused(f"{where} does not hold a key: one word of plain letters", "look at what is in it")
    return key


def _authorities(request: RunRequest) -> bytes:
    data = _read(Path(request.endpoint_ca_file), _LARGEST_CA)
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise _refused(f"{request.endpoint_ca_file} holds no certificate in PEM", "name the authority's file")
    return data


def _read(path: Path, most: int) -> bytes:
    try:
        data = read_given(path, most + 1)
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        why = error.strerror if isinstance(error, OSError) else str(error)
        hint = "name another file, or give a key as a variable (--endpoint-key-env)"
        raise _refused(f"{path} cannot be read: {why}", hint) from error
    if len(data) > most:
        raise _refused(f"{path} is larger than {most} bytes", "name the file itself")
    return data
