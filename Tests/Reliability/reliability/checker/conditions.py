"""What the checker has to know of a run beside calls and changes: settings, and the harness's own locks and faults."""

import json
from bisect import bisect_right
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path

from harness.services import TIME_TO_LIVE

from .timeline import COMMIT_TAKES

EVERY_ROW = "*"


@dataclass(frozen=True, slots=True)
class Lock:
    """Rows, or a table, that the harness kept locked. Times are those of its session."""

    product: int | None    # None: all of them
    table: str
    ids: tuple[str, ...]   # as clients see them; EVERY_ROW for all of the table
    asked: float           # before the harness had the lock: others may queue behind it from then on
    released: float        # while the harness still had the lock


@dataclass
class Conditions:
    hold_ttls: tuple[float, ...] = (TIME_TO_LIVE,)     # seconds, of each server
    order_ttls: tuple[float, ...] = (TIME_TO_LIVE,)
    parked_ttl: float = inf
    has_faults: bool = True          # a 503 needs no lock and no ended backend to explain it
    visible_within: float = COMMIT_TAKES  # seconds, of a commit, unless a response shows it sooner
    # A statement takes the clock and its snapshot one after the other, and may lose the CPU in between.
    snapshot_takes: float = 0.002    # seconds
    locks: list[Lock] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)   # when backends were ended
    undisturbed: tuple[int, ...] = ()                  # products with rows that the harness never locked
    # When this machine was too busy to run the harness, or the harness had stopped the database.
    stalls: list[tuple[float, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> "Conditions":
        saved = json.loads(path.read_text())
        return Conditions(**saved | {"locks": [Lock(**lock) for lock in saved["locks"]]})

    @cached_property
    def _releases(self) -> defaultdict[tuple[str, str], list[float]]:
        releases: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for lock in sorted(self.locks, key=lambda lock: lock.released):
            for id in lock.ids:
                releases[lock.table, id].append(lock.released)
        return releases

    def released_before(self, table: str, id: str, time: float) -> float:
        """When the harness last unlocked the row. A transaction that changed it and committed at `time` locked it
        later."""
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
        return any(lock.product in (None, product) and lock.asked <= end and begin <= lock.released
                   for lock in self.locks)
