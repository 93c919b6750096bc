"""A build's own progress, as one stream of documents whatever the client can say.

buildx 0.13 and newer print BuildKit's status as JSON (`--progress=rawjson`). Of an older
one the plain lines are read (``#7 [2/3] RUN …``, ``#7 0.123 text``, ``#7 DONE 1.2s``) into
documents of the same form: ``vertexes`` and ``logs``.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NUMBERED = re.compile(r"#(?P<number>\d+) (?P<rest>.*)", re.DOTALL)
_LOGGED = re.compile(r"(?P<seconds>\d+\.\d+) (?P<text>.*)", re.DOTALL)
_ENDED = re.compile(r"(?P<word>DONE|CACHED|CANCELED|ERROR)\b:? ?(?P<text>.*)", re.DOTALL)


def json_documents(lines: Iterable[str], plain: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON documents in a stream of lines (pretty-printed or one a line); other lines go to `plain`."""
    decoder = json.JSONDecoder()
    held = ""
    for line in lines:
        if not held and not line.lstrip().startswith("{"):
            if line.strip():
                plain.append(line.rstrip())
            continue
        held += line
        if not line.rstrip().endswith("}"):  # a document ends with its brace; parsing before is wasted
            continue
        try:
            document, end = decoder.raw_decode(held.lstrip())
        except ValueError:
            continue
        held = held.lstrip()[end:].lstrip()
        if isinstance(document, dict):
            yield document
    if held.strip():
        plain.append(held.strip())


def plain_documents(lines: Iterable[str], plain: list[str]) -> Iterator[dict[str, Any]]:
    """The same documents out of plain progress lines; what belongs to no step goes to `plain`."""
    names: dict[str, str] = {}
    for raw in lines:
        line = raw.rstrip("\r\n")
        match = _NUMBERED.fullmatch(line)
        if match is None:
            if line.strip():
                plain.append(line)
            continue
        digest, rest = f"#{match['number']}", match["rest"]
        if digest not in names:
            names[digest] = rest
            yield {"vertexes": [{"digest": digest, "name": rest, "started": "1"}]}
        elif ended := _ENDED.fullmatch(rest):
            yield {"vertexes": [_end(digest, names[digest], ended["word"], ended["text"])]}
        elif logged := _LOGGED.fullmatch(rest):
            data = base64.b64encode(f"{logged['text']}\n".encode()).decode()
            yield {"logs": [{"vertex": digest, "data": data}]}


def _end(digest: str, name: str, word: str, text: str) -> dict[str, Any]:
    vertex: dict[str, Any] = {"digest": digest, "name": name, "started": "1", "completed": "1"}
    if word == "CACHED":
        vertex["cached"] = True
    elif word in {"ERROR", "CANCELED"}:
        vertex["error"] = text or word.lower()
    return vertex
