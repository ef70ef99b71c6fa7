"""The rows after each transaction of the log, and which versions could be seen at which time."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from .changes import TABLES, Change, Transaction
from .timeline import Holdings, Stock, Timeline

Row = dict[str, Any]

LIVE = ("pending_payment", "paid")


@dataclass(slots=True)
class Bag:
    """What a customer has of a product."""

    active: dict[str, Row] = field(default_factory=dict)   # holds
    ordered: int = 0                                       # units in live orders

    def add(self, id: str, before: Row | None, row: Row | None) -> None:
        if id.startswith("hold_"):
            if row is not None and row["status"] == "active":
                self.active[id] = row
            else:
                self.active.pop(id, None)
        else:
            self.ordered += live_units(row) - live_units(before)

    @property
    def expiries(self) -> tuple[tuple[float, int], ...]:
        return tuple((hold["expires_at"], hold["quantity"]) for hold in self.active.values())


def live_units(order: Row | None) -> int:
    return order["quantity"] if order is not None and order["status"] in LIVE else 0


@dataclass(slots=True)
class Shelf:
    """A product's units that are not available."""

    all: Bag = field(default_factory=Bag)
    unpaid: dict[str, Row] = field(default_factory=dict)   # orders
    of_customer: defaultdict[str, Bag] = field(default_factory=lambda: defaultdict(Bag))

    @property
    def held(self) -> int:
        return sum(hold["quantity"] for hold in self.all.active.values())


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


class Book:
    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self.shelves: defaultdict[int, Shelf] = defaultdict(Shelf)
        self.parked: defaultdict[str, set[str]] = defaultdict(set)   # keys of events by order
        # When each customer got units: commit, the limit in force, and the customer's units after it.
        self.grants: defaultdict[tuple[int, str], list[tuple[float, int, int]]] = defaultdict(list)
        self.violations: list[str] = []
        # Of what could be seen: rows of holds, orders and payment events; stock of products; what customers have.
        self.history: dict[str, defaultdict[str, Timeline[Row | None]]] = {
            table: defaultdict(Timeline) for table in ("holds", "orders", "payment_events")}
        self.stock: defaultdict[int, Timeline[Stock]] = defaultdict(Timeline)
        self.holdings: defaultdict[tuple[int, str], Timeline[Holdings]] = defaultdict(Timeline)
        self._last: dict[tuple[str, str], Transaction] = {}

    def customer_of(self, number: str) -> str | None:
        """Of a hold or an order."""
        hold = self.rows["holds"].get(number.replace("order_", "hold_"))
        return hold and hold.get("customer_id")

    def of(self, table: str, id: str) -> Timeline[Row | None]:
        """The versions of a row; empty when there never was one."""
        return self.history[table].get(id) or Timeline()

    def holdings_of(self, product: int, customer: str) -> Timeline[Holdings]:
        return self.holdings.get((product, customer)) or Timeline()

    def times_made(self, table: str, id: str) -> list[float]:
        """When the row was inserted: a parked failure that was removed may come again."""
        versions = self.of(table, id).versions
        return [version.by.committed for before, version in zip([None, *versions], versions)
                if version.value is not None and (before is None or before.value is None)]

    def units_of(self, product: int, customer: str, at: float) -> int:
        return self._holdings(product, customer).units(at)

    def take(self, transaction: Transaction) -> Step:
        step = Step(transaction)
        customers: set[tuple[int, str]] = set()
        for change in transaction.changes:
            self._apply(change, step)
            row = change.row or step.before[change.table, change.id]
            assert row is not None
            product = row["id"] if change.table == "products" else row["product_id"]
            step.products.add(product)
            if change.table in ("holds", "orders") and (customer := self.customer_of(change.id)):
                customers.add((product, customer))
        for table, id in step.before:
            if table != "products":
                self.history[table][id].add(transaction, self.rows[table].get(id))
            self._last[table, id] = transaction
        for product in step.products:
            if product in self.stock or str(product) in self.rows["products"]:
                self.stock[product].add(transaction, self._stock(product), step.first("products", str(product)))
        for product, customer in customers:
            self.holdings[product, customer].add(
                transaction, self._holdings(product, customer), step.first("products", str(product)))
        return step

    def _apply(self, change: Change, step: Step) -> None:
        table, id, rows = change.table, change.id, self.rows[change.table]
        before = rows.get(id)
        if (table, id) not in step.before:
            step.before[table, id] = before
            last = self._last.get((table, id))
            if last is not None:
                last.was_seen(change.at)
                step.free_since[table, id] = last.committed
        found = None if before is None else str(before[TABLES[table]])
        if found != change.was:
            self.violations.append(
                f"{table} {id} was {change.was} to the transaction of {step.by.committed:.4f}, and {found} as the one "
                f"before had left it")
        if change.row is None:
            rows.pop(id, None)
        else:
            rows[id] = change.row
        if table in ("holds", "orders"):
            self._shelve(id, change.row, before)
        elif table == "payment_events":
            self._park(change, before)

    def _shelve(self, id: str, row: Row | None, before: Row | None) -> None:
        shelf = self.shelves[(row or before or {})["product_id"]]
        shelf.all.add(id, before, row)
        if customer := self.customer_of(id):
            shelf.of_customer[customer].add(id, before, row)
        if row is not None and row["status"] == "pending_payment":
            shelf.unpaid[id] = row
        else:
            shelf.unpaid.pop(id, None)

    def _park(self, change: Change, before: Row | None) -> None:
        row = change.row
        order = (row or before or {})["order_id"]
        if row is not None and row["verdict"] == "parked" and row.get("settled_at") is None:
            self.parked[order].add(change.id)
        else:
            self.parked[order].discard(change.id)

    def _stock(self, product: int) -> Stock:
        shelf = self.shelves[product]
        return Stock(self.rows["products"][str(product)], shelf.all.expiries, shelf.all.ordered,
                     tuple(order["payment_due_at"] for order in shelf.unpaid.values()))

    def _holdings(self, product: int, customer: str) -> Holdings:
        bag = self.shelves[product].of_customer[customer]
        return Holdings(bag.expiries, bag.ordered)
