"""The rows after each transaction of the log, and the versions that could be seen at each time."""

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf
from typing import Any

from ..history import Call, hold_of
from .changes import TABLES, Change, Transaction
from .conditions import Conditions
from .timeline import End, Holdings, Stock, Timeline

Row = dict[str, Any]

LIVE = ("pending_payment", "paid", "refunded")
# No version of a stock is judged for longer, so ends that are farther away cannot come meanwhile.
HORIZON = 120.0   # seconds


def live_units(row: Row | None) -> int:
    """Of an order. A hold has none of these statuses. A refunded order has its units until they are restocked."""
    return row["quantity"] if row is not None and row["status"] in LIVE and not row["is_restocked"] else 0


def end_of(row: Row | None) -> End | None:
    if row is None or row["status"] not in ("active", "pending_payment"):
        return None
    is_hold = row["status"] == "active"
    return (row["expires_at"], row["quantity"], row["id"]) if is_hold else (row["payment_due_at"], 0, row["id"])


@dataclass(slots=True)
class Shelf:
    """The units of a product that are not available, or the units of a customer."""

    held: int = 0
    ordered: int = 0
    ends: list[End] = field(default_factory=list)
    passing: list[tuple[float, float, int, str]] = field(default_factory=list)   # see Stock

    def add(self, before: Row | None, row: Row | None) -> None:
        self.ordered += live_units(row) - live_units(before)
        if was := end_of(before):
            self.held -= was[1]
            del self.ends[bisect_left(self.ends, was)]
        if now := end_of(row):
            self.held += now[1]
            insort(self.ends, now)

    def holdings(self, at: float = inf) -> Holdings:
        """`at` is the time from which on the holdings are judged; without it they have all ends."""
        return Holdings(tuple(self.ends[:bisect_left(self.ends, (at + HORIZON,)) + 1]), self.ordered)


@dataclass(slots=True)
class Step:
    """A transaction, and the rows that it changed as they were before it."""

    by: Transaction
    before: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    # When the transaction before this one released the row's lock.
    free_since: dict[tuple[str, str], float] = field(default_factory=dict)
    products: set[int] = field(default_factory=set)

    def first(self, table: str, id: str) -> float | None:
        """When the row was first changed."""
        return min((change.at for change in self.by.changes if (change.table, change.id) == (table, id)), default=None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A late success that is refund_due: too little stock, or the customer's limit. It is judged once all versions are
    known."""

    key: str
    order: Row
    given_back: int      # units, by events before it in the same transaction
    by: Transaction


class Book:
    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self.shelves: defaultdict[int, Shelf] = defaultdict(Shelf)   # of products
        self.customers: defaultdict[tuple[int, str], Shelf] = defaultdict(Shelf)   # by product and customer
        self.parked: defaultdict[str, set[str]] = defaultdict(set)   # keys of events by order
        self.keys: dict[tuple[int, str | None, str], Row] = {}       # by product, customer and key
        # When each customer got units: commit, the limit in force, and the customer's units after it.
        self.grants: defaultdict[tuple[int, str], list[tuple[float, int, int]]] = defaultdict(list)
        self.refusals: list[Refusal] = []
        self.violations: list[str] = []
        # Of what could be seen: rows of holds, orders and payment events; stock of products; customers' units.
        self.history: dict[str, defaultdict[str, Timeline[Row | None]]] = {
            table: defaultdict(Timeline) for table in ("holds", "orders", "payment_events")}
        self.stock: defaultdict[int, Timeline[Stock]] = defaultdict(Timeline)
        self.holdings: defaultdict[tuple[int, str], Timeline[Holdings]] = defaultdict(Timeline)
        self._last: dict[tuple[str, str], Transaction] = {}

    def customer_of(self, id: str) -> str | None:
        """Of a hold or an order."""
        hold = self.rows["holds"].get(hold_of(id))
        return hold and hold.get("customer_id")

    def of(self, table: str, id: str) -> Timeline[Row | None]:
        """The versions of a row; empty when there never was one."""
        return self.history[table].get(id) or Timeline()

    def last_row(self, table: str, id: str) -> Row | None:
        versions = self.of(table, id).versions
        return versions[-1].value if versions else None

    def seen(self, table: str, id: str, call: Call) -> list[tuple[Row | None, float, float]]:
        """The versions of a row that a call may have seen, None for no row, each with the time in which it was
        visible."""
        return [(version and version.value, begin, end)
                for version, begin, end in self.of(table, id).seen(call.start, call.end)]

    def times_made(self, table: str, id: str) -> list[float]:
        """When the row was inserted: a parked failure that was removed may come again."""
        versions = self.of(table, id).versions
        return [version.by.committed for before, version in zip([None, *versions], versions)
                if version.value is not None and (before is None or before.value is None)]

    def most_units(self, customer: tuple[int, str], begin: float, end: float, at: float | None = None) -> int:
        """The most that a customer of a product may have been seen to have, of what was not over then: `at`, or during
        the whole of each version."""
        seen = self.holdings[customer].seen(begin, end) if customer in self.holdings else ()
        slack = self.conditions.snapshot_takes
        return max((version.value.units(since - slack if at is None else at)
                    for version, since, _ in seen if version is not None), default=0)

    def take(self, transaction: Transaction) -> Step:
        transaction.seen_by = transaction.committed + self.conditions.visible_within
        step = Step(transaction)
        customers: set[tuple[int, str]] = set()
        for change in transaction.changes:
            if change.table == "idempotency_keys":
                if change.row is not None:
                    self.keys[change.row["product_id"], change.row["customer_id"] or None, change.id] = change.row
                continue
            self._apply(change, step)
            row = change.row or step.before[change.table, change.id]
            assert row is not None
            product = row["id"] if change.table == "products" else row["product_id"]
            step.products.add(product)
            if change.table in ("holds", "orders") and (customer := self.customer_of(change.id)):
                customers.add((product, customer))
        for table, id in step.before:
            if table in self.history:
                self.history[table][id].add(transaction, self.rows[table].get(id))
            self._last[table, id] = transaction
        for product in step.products:
            if product in self.stock or str(product) in self.rows["products"]:
                shelf = self.shelves[product]
                self.stock[product].add(transaction, Stock(
                    self.rows["products"][str(product)], shelf.holdings(transaction.committed), shelf.passing,
                    self.conditions.snapshot_takes), step.first("products", str(product)))
        for product, customer in customers:
            self.holdings[product, customer].add(
                transaction, self.customers[product, customer].holdings(), step.first("products", str(product)))
        return step

    def find_passing(self) -> None:
        """Fills `Shelf.passing`, when responses have told when each commit was visible."""
        for id, timeline in self.history["orders"].items():
            hold, placed = self.rows["holds"].get(hold_of(id)), timeline.versions[0].by
            if hold is not None and hold["expires_at"] < placed.seen_by:
                self.shelves[hold["product_id"]].passing.append(
                    (hold["expires_at"], placed.seen_by, hold["quantity"], hold["id"]))
        for shelf in self.shelves.values():
            shelf.passing.sort()

    def _apply(self, change: Change, step: Step) -> None:
        table, id, rows = change.table, change.id, self.rows[change.table]
        row, before = change.row, rows.pop(id, None)
        if (table, id) not in step.before:
            step.before[table, id] = before
            if last := self._last.get((table, id)):
                last.was_seen(change.at)
                step.free_since[table, id] = last.committed
        found = None if before is None else str(before[TABLES[table]])
        if found != change.was:
            self.violations.append(
                f"{table} {id} was {change.was} to the transaction of {step.by.committed:.4f}, and {found} as the one "
                f"before had left it")
        if row is not None:
            rows[id] = row
        either = row or before or {}
        if table in ("holds", "orders"):
            self.shelves[either["product_id"]].add(before, row)
            if customer := self.customer_of(id):
                self.customers[either["product_id"], customer].add(before, row)
        elif table == "payment_events":
            is_parked = row is not None and row["verdict"] == "parked" and row.get("settled_at") is None
            (self.parked[either["order_id"]].add if is_parked else self.parked[either["order_id"]].discard)(id)
