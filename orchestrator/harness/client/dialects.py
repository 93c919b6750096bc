"""How a server is asked: the path, the form of the prompt, and what only some servers understand.

Every request is greedy (temperature 0), streamed, with the count of tokens at its end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Form = Literal["tokens", "messages", "text"]
COMPLETIONS, CHAT = "/completions", "/chat/completions"
"""Below the address of a server's interface."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """``extra`` are fields beside OpenAI's."""

    form: Form
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return CHAT if self.form == "messages" else COMPLETIONS

    def body(self, model: str, prompt: Sequence[int] | str, limit: int) -> bytes:
        """The request for an answer of at most ``limit`` tokens."""
        document: dict[str, object] = {"model": model}
        if self.form == "messages":
            document["messages"] = [{"role": "user", "content": prompt}]
        else:
            document["prompt"] = prompt if isinstance(prompt, str) else list(prompt)
        document |= {
            "max_tokens": limit,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.extra,
        }
        return json.dumps(document).encode()


LLAMACPP = {
    # The likeliest token alone is left to choose from, so its probability, which its number comes with, is cheap.
    "samplers": ["top_k"],
    "top_k": 1,
    "logprobs": 1,
    "post_sampling_probs": True,
    "cache_prompt": False,  # no query profits from another
}
VLLM = {"return_token_ids": True}
NUMBERS: Mapping[str, Mapping[str, object]] = {"llamacpp": LLAMACPP, "vllm": VLLM}
"""What makes a server give its tokens' numbers, by the owner that it says its models have (``/models``)."""


def dialects(forms: Sequence[Form], owner: str) -> list[Dialect]:
    """The ways to ask, the best first: with what gives numbers, then as OpenAI has it."""
    found = []
    for form in forms:
        if form != "messages":
            found.append(Dialect(form=form, extra=NUMBERS.get(owner, VLLM)))
        found.append(Dialect(form=form))
    return found
