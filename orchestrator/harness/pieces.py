"""The numbers of an answer's tokens, from a server that gives a piece of text with each."""

from __future__ import annotations

LOST = -1
"""Stands for a token that llama.cpp gave no number of: one of several that make up a character (see `Pieces`)."""


class Pieces:
    """Numbers in the order in which they came.

    A piece is a token's text. Where a character is made of several tokens (an emoji) llama.cpp holds them back until
    it is whole, and gives the number of the last one only: its text is then longer than that token. In the end it
    says how many tokens there were, so that `LOST` can stand for those without a number.
    """

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._gaps: list[int] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, token: int, own_bytes: int = 0, text_bytes: int = 0) -> None:
        """A token: how many bytes it stands for itself (0: not known), and how many its piece of text has."""
        if text_bytes > own_bytes > 0:
            self._gaps.append(len(self._tokens))
        self._tokens.append(token)

    def first(self) -> list[int]:
        return self._tokens[:1]

    def tokens(self, count: int) -> list[int]:
        """``count`` numbers; those that were not given are `LOST`, where their pieces were too long."""
        tokens = self._tokens
        lost = count - len(tokens)
        gaps = self._gaps or [len(tokens)]
        for number, at in enumerate(reversed(gaps)):  # from the end, so that the places before stay where they are
            share = lost // len(gaps) + (number < lost % len(gaps))
            tokens = [*tokens[:at], *[LOST] * share, *tokens[at:]]
        return tokens
