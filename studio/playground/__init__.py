"""The playground: talk to the model of a finished run and the one that it started from, and say which answers are good.

Guarantees: what is typed here enters no verdict: this room is above the one that compares, which knows nothing of it, and keeps
its questions in tables of their own; the answers are the models' own; a question is on disk before anybody is asked, an opinion
before the page shows it.

    ask(…)            ->  id of the question          answered by a process of its own, which stays for a while
    read(…)           ->  Room                        the conversations, and how far the answers are
    think(…)                                          thumbs, and "a better answer would be …"
    harvest(…)        ->  Harvest                     the preference pairs that these opinions make
"""

from __future__ import annotations

from studio.playground.asking import Side, Wanted, again, ask, go_on, sides_of, stop, system_of, think
from studio.playground.harvest import Harvest, harvest, keep
from studio.playground.reading import Answer, Exchange, Room, Talk, read

__all__ = [
    "Answer",
    "Exchange",
    "Harvest",
    "Room",
    "Side",
    "Talk",
    "Wanted",
    "again",
    "ask",
    "go_on",
    "harvest",
    "keep",
    "read",
    "sides_of",
    "stop",
    "system_of",
    "think",
]
