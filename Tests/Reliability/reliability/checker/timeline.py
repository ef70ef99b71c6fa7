"""Which version of a row, a stock or a customer's units could be seen at which time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Any, Generic, TypeVar

from .changes import Transaction

T = TypeVar("T")

ROUNDED = 0.0015       # seconds: times that clients see are whole milliseconds
# The longest time from a commit's timestamp until others see the commit. In between its record is flushed. A process
# may be stopped, or PostgreSQL may crash and recover, meanwhile.
COMMIT_TAKES = 30.0    # seconds


@dataclass(slots=True)
class Version(Generic[T]):
    by: Transaction
    value: T
    # From when on a response may show it: the transaction itself decides by it before it commits.
    since: float


@dataclass(slots=True)
class Timeline(Generic[T]):
    """The versions of one thing, in the order of their commits. Before the first there was nothing."""

    versions: list[Version[T]] = field(default_factory=list)
    # For each version when it or an earlier one was certainly replaced. Kept from the first look on: later looks make
    # these times smaller only.
    _replaced_by: list[float] = field(default_factory=list)

    def add(self, by: Transaction, value: T, since: float | None = None) -> None:
        self.versions.append(Version(by, value, by.committed if since is None else since))

    def made_between(self, start: float, end: float) -> Iterator[T]:
        """What was committed in this time."""
        first = bisect_left(self.versions, start, key=lambda version: version.by.committed)
        last = bisect_right(self.versions, end, key=lambda version: version.by.committed)
        return (version.value for version in self.versions[first:last])

    def seen(self, start: float, end: float) -> Iterator[tuple[Version[T] | None, float, float]]:
        """The versions that a read between these times may have seen, each with the time in which it was visible."""
        versions = self.versions
        until = versions[0].by.seen_by if versions else inf
        if until > start:
            yield None, start, min(end, until)
        if len(self._replaced_by) != len(versions):
            self._replaced_by = [*accumulate((version.by.seen_by for version in versions[1:]), max), inf]
        for index in range(bisect_left(self._replaced_by, start), len(versions)):
            version = versions[index]
            if version.since > end:
                break
            until = versions[index + 1].by.seen_by if index + 1 < len(versions) else inf
            if until >= start:
                yield version, max(start, version.since), min(end, until)


# When an active hold expires, with its units, or when an unpaid order is due, with none; and its id.
End = tuple[float, int, str]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The units that a product or a customer has in holds and live orders."""

    ends: tuple[End, ...]   # sorted; of the ends after HORIZON only the first
    ordered: int

    def units(self, at: float) -> int:
        return self.ordered + sum(units for time, units, _ in self.ends if time > at)


@dataclass(frozen=True, slots=True)
class Stock:
    """What responses tell of a product's stock. `slack` is `Conditions.snapshot_takes`."""

    product: dict[str, Any]
    holdings: Holdings
    # Holds that lapsed while their orders were being committed: from when, until when, the hold's units and its id.
    # Sorted. All of a product's versions share the list.
    passing: list[tuple[float, float, int, str]]
    slack: float

    def available(self, begin: float, end: float) -> set[int]:
        """The values in this time. A lapsed hold counts as available before a worker has expired it."""
        begin, end = begin - self.slack, end + self.slack
        total = self.product["available_stock"]
        values: set[int] = set()
        for time, units, _ in self.holdings.ends:
            if time > end:
                break
            if time > begin:
                values.add(total)
            total += units
        values.add(total)
        # A hold that was ordered in time may lapse while its order is being committed. Until the commit, reads count
        # its units as available. They cannot be bought while the order has the row locked.
        first = bisect_left(self.passing, (begin - COMMIT_TAKES,))
        for lapsed, committed, units, id in self.passing[first:bisect_left(self.passing, (end, inf))]:
            if begin <= committed and all(id != active for _, _, active in self.holdings.ends):
                values |= {value + units for value in values}
        return values

    def is_next_release(self, time: float | None, at: float) -> bool:
        """Whether the first units come back then, as of `at` or shortly before: from a hold or an unpaid order."""
        ends = [end for end, _, _ in self.holdings.ends]
        if time is None:
            return not any(end > at + self.slack for end in ends)
        return (any(abs(end - time) < ROUNDED for end in ends)
                and not any(at + self.slack < end < time - ROUNDED for end in ends))

    def statuses(self, available: int, begin: float, end: float) -> set[str]:
        """What the product's status may have been in this time, with so much available."""
        starts_at, ends_at = self.product["starts_at"], self.product["ends_at"]
        begin, end = begin - self.slack, end + self.slack
        statuses = set()
        if starts_at is not None and begin < starts_at:
            statuses.add("upcoming")
        if ends_at is not None and end >= ends_at:
            statuses.add("ended")
        if (starts_at is None or end >= starts_at) and (ends_at is None or begin < ends_at):
            may_come_back = any(units == 0 or time > begin for time, units, _ in self.holdings.ends)
            statuses.add("on_sale" if available > 0 else "reserved_out" if may_come_back else "sold_out")
        return statuses

    def told(self, begin: float, end: float) -> str:
        """A description for violations."""
        names = ("starts_at", "ends_at", "max_quantity_per_hold", "max_per_customer")
        rules = {name: self.product[name] for name in names if self.product[name] is not None}
        first = self.holdings.ends[0][0] if self.holdings.ends else None
        return (f"from {begin:.4f} to {end:.4f}: {sorted(self.available(begin, end))} of {self.product['total_stock']} "
                f"available, {self.holdings.ordered} ordered, the first back at {first}, {rules}")
