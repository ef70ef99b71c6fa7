"""The settings of a run and the trouble that the harness made: what the judge needs beside calls and changes."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field


EVERY_ROW = "*"


@dataclass(frozen=True, slots=True)
class Lock:
    """Rows, or a table, that the harness kept locked. Times are those of its session."""

    product: int | None    # None: all of them
    table: str
    ids: tuple[str, ...]   # as clients see them; EVERY_ROW for all of the table
    asked: float           # before it had the lock: others may queue behind it from then on
    released: float        # while it still had the lock


@dataclass
class Conditions:
    hold_ttls: tuple[float, ...]     # seconds, of each server
    order_ttls: tuple[float, ...]
    parked_ttl: float
    locks: list[Lock] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)         # when backends were ended
    undisturbed: frozenset[int] = frozenset()                # products with rows that the harness never locked
    # When this machine was too busy to run the harness, and so the database.
    stalls: list[tuple[float, float]] = field(default_factory=list)

    def index(self) -> None:
        """To be called when all locks are known, before the judge asks."""
        self._releases: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for lock in sorted(self.locks, key=lambda lock: lock.released):
            for id in lock.ids:
                self._releases[lock.table, id].append(lock.released)

    def released_before(self, table: str, id: str, time: float) -> float:
        """When the harness last unlocked the row. A transaction that changed it and committed at `time` locked it later."""
        latest = 0.0
        for row in (id, EVERY_ROW):
            releases = self._releases.get((table, row), [])
            if at := bisect_right(releases, time):
                latest = max(latest, releases[at - 1])
        return latest

    def stalled(self, begin: float, end: float) -> float:
        """For how many seconds of this time."""
        return sum(max(0.0, min(end, until) - max(begin, since)) for since, until in self.stalls)

    def is_killed_between(self, begin: float, end: float) -> bool:
        return any(begin <= kill <= end for kill in self.kills)

    def is_locked_between(self, product: int, begin: float, end: float) -> bool:
        return any(lock.product in (None, product) and lock.asked <= end and begin <= lock.released for lock in self.locks)
