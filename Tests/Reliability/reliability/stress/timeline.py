"""Which version could be seen at which time."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .changes import VISIBLE_WITHIN, Transaction

T = TypeVar("T")

# A statement takes the clock and its snapshot one after the other, and its process may lose the CPU in between.
SNAPSHOT_TAKES = 0.02  # seconds
ROUNDED = 0.0015       # seconds: times that clients see are whole milliseconds


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

    def add(self, by: Transaction, value: T, since: float | None = None) -> None:
        self.versions.append(Version(by, value, by.committed if since is None else since))

    def made_between(self, start: float, end: float) -> Iterator[T]:
        """What was committed in this time."""
        at = bisect_left(self.versions, start, key=lambda version: version.by.committed)
        while at < len(self.versions) and self.versions[at].by.committed <= end:
            yield self.versions[at].value
            at += 1

    def seen(self, start: float, end: float) -> Iterator[tuple[T | None, float, float]]:
        """The versions that a read between these times may have seen, each with the time in which it was visible."""
        versions = self.versions
        at = bisect_left(versions, start - VISIBLE_WITHIN, key=lambda version: version.by.committed)
        if at == 0:
            until = versions[0].by.seen_by if versions else end
            if until > start or not versions:
                yield None, start, min(end, until)
        for index in range(max(0, at - 1), len(versions)):
            version = versions[index]
            if version.since > end:
                break
            until = versions[index + 1].by.seen_by if index + 1 < len(versions) else end
            if until >= start:
                yield version.value, max(start, version.since), min(end, until)


@dataclass(frozen=True, slots=True)
class Stock:
    """All that answers tell of a product's stock."""

    product: dict
    active: tuple[tuple[float, int], ...]  # of each active hold, when it expires, and its units
    ordered: int                           # units in live orders
    dues: tuple[float, ...]                # of unpaid orders

    def available(self, begin: float, end: float) -> set[int]:
        """The values in this time. A lapsed hold counts as available before a worker has released it."""
        begin, end = begin - SNAPSHOT_TAKES, end + SNAPSHOT_TAKES
        total = self.product["available_stock"]
        values = set()
        later = []
        for expires, units in self.active:
            if expires <= begin:
                total += units
            elif expires <= end:
                later.append((expires, units))
        values.add(total)
        for _, units in sorted(later):
            total += units
            values.add(total)
        return values

    def is_next_release(self, time: float | None, at: float) -> bool:
        """Whether the first units come back then, as of `at` or shortly before: from a hold or an unpaid order."""
        ends = [*(expires for expires, _ in self.active), *self.dues]
        still_to_come = [end for end in ends if end > at + SNAPSHOT_TAKES]
        if time is None:
            return not still_to_come
        return any(abs(end - time) < ROUNDED for end in ends) and not any(end < time - ROUNDED for end in still_to_come)

    def statuses(self, available: int, begin: float, end: float) -> set[str]:
        """What the product's status may have been in this time, with so much available."""
        starts_at, ends_at = self.product["starts_at"], self.product["ends_at"]
        begin, end = begin - SNAPSHOT_TAKES, end + SNAPSHOT_TAKES
        statuses = set()
        if starts_at is not None and begin < starts_at:
            statuses.add("upcoming")
        if ends_at is not None and end >= ends_at:
            statuses.add("ended")
        if (starts_at is None or end >= starts_at) and (ends_at is None or begin < ends_at):
            if available > 0:
                statuses.add("on_sale")
            else:
                may_come_back = self.dues or any(expires > begin for expires, _ in self.active)
                statuses.add("reserved_out" if may_come_back else "sold_out")
        return statuses

    def told(self, begin: float, end: float) -> str:
        """A description for violations."""
        rules = {name: self.product[name] for name in ("starts_at", "ends_at", "max_quantity_per_hold", "max_per_customer")
                 if self.product[name] is not None}
        ends = sorted(f"{expires:.3f}" for expires in (*(expires for expires, _ in self.active), *self.dues))
        return (f"from {begin:.4f} to {end:.4f}: {sorted(self.available(begin, end))} of {self.product['total_stock']} "
                f"available, {self.ordered} ordered, the first back at {ends[0] if ends else None}, {rules}")

    def least_available(self, begin: float) -> int:
        return min(self.available(begin, begin))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a customer has of a product."""

    active: tuple[tuple[float, int], ...]
    ordered: int

    def units(self, at: float) -> int:
        return self.ordered + sum(units for expires, units in self.active if expires > at)
