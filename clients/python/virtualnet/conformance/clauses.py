"""The clauses: sentences of docs/protocol.md, each with a function that plays what it is about. A
test holds the sentences against that page."""

from __future__ import annotations

from typing import Callable, NamedTuple

from .wire import Daemon


class Clause(NamedTuple):
    section: str
    text: str
    play: Callable[[Daemon], None]
    reloads: bool  # it makes the daemon load a store


all_of_them: list[Clause] = []


def clause(
    section: str, text: str, reloads: bool = False
) -> Callable[[Callable[[Daemon], None]], Callable[[Daemon], None]]:
    """The function returns, or raises NotKept or NotJudged."""

    def add(play: Callable[[Daemon], None]) -> Callable[[Daemon], None]:
        all_of_them.append(Clause(section, text, play, reloads))
        return play

    return add
