"""What the database says at the end: which calls took effect, and between which times."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class HoldRow:
    product: int
    id: str              # as clients see it
    quantity: int
    status: str
    expires_at: float
    customer: str | None

    @property
    def order_id(self) -> str:
        return self.id.replace("hold_", "order_")


@dataclass(slots=True)
class OrderRow:
    product: int
    id: str
    quantity: int
    amount: int
    currency: str
    status: str
    due_at: float
    created_at: float
    changed_at: float    # when the transaction that wrote this version was about to commit


@dataclass(slots=True)
class EventRow:
    key: str
    order_id: str
    status: str
    amount: int | None
    currency: str | None
    verdict: str
    order_status: str | None
    received_at: float
    changed_at: float


@dataclass(slots=True)
class KeyRow:
    product: int
    key: str
    operation: str
    id: str              # of the hold


@dataclass
class Database:
    stock: dict[int, int]              # by product: all of it
    prices: dict[int, int]
    holds: dict[str, HoldRow]
    orders: dict[str, OrderRow] = field(default_factory=dict)
    events: dict[str, EventRow] = field(default_factory=dict)
    keys: dict[tuple[int, str], KeyRow] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        tables = {name: [asdict(row) for row in getattr(self, name).values()]
                  for name in ("holds", "orders", "events", "keys")}
        path.write_text(json.dumps({"stock": self.stock, "prices": self.prices, **tables}))


def load(path: Path) -> Database:
    """What `save` wrote."""
    tables = json.loads(path.read_text())
    return Database(
        {int(id): stock for id, stock in tables["stock"].items()},
        {int(id): price for id, price in tables["prices"].items()},
        {row["id"]: HoldRow(**row) for row in tables["holds"]},
        {row["id"]: OrderRow(**row) for row in tables["orders"]},
        {row["key"]: EventRow(**row) for row in tables["events"]},
        {(row["product"], row["key"]): KeyRow(**row) for row in tables["keys"]})


def read(sql: Callable[[str], str]) -> Database:
    """Reads all of it. Times are seconds since 1970; no text in it contains the separator."""
    def rows(statement: str) -> list[list[str]]:
        return [line.split("|") for line in sql(statement).splitlines()]

    def seconds(column: str) -> str:
        return f"extract(epoch from {column})"

    # Commit times are kept because the harness starts PostgreSQL so; a version that is too old for them has none.
    changed = f"coalesce({seconds('pg_xact_commit_timestamp(xmin)')}, 0)"
    database = Database({}, {}, {})
    for id, stock, price in rows("select id, total_stock, price from products"):
        database.stock[int(id)], database.prices[int(id)] = int(stock), int(price)
    for product, number, quantity, status, expires, customer in rows(
            "select product_id, replace(id::text, '-', ''), quantity, status, "
            f"{seconds('expires_at')}, customer_id from holds"):
        id = f"hold_{number}"
        database.holds[id] = HoldRow(int(product), id, int(quantity), status, float(expires), customer or None)
    for product, number, quantity, amount, currency, status, due, created, changed_at in rows(
            "select product_id, replace(id::text, '-', ''), quantity, amount, currency, status, "
            f"{seconds('payment_due_at')}, {seconds('created_at')}, {changed} from orders"):
        id = f"order_{number}"
        database.orders[id] = OrderRow(
            int(product), id, int(quantity), int(amount), currency, status, float(due), float(created),
            float(changed_at))
    for key, number, status, amount, currency, verdict, order_status, received, changed_at in rows(
            "select idempotency_key, replace(order_id::text, '-', ''), status, amount, currency, verdict, "
            f"order_status, {seconds('received_at')}, {changed} from payment_events"):
        database.events[key] = EventRow(
            key, f"order_{number}", status, int(amount) if amount else None, currency or None, verdict,
            order_status or None, float(received), float(changed_at))
    for product, key, operation, number in rows(
            "select product_id, key, operation, replace(hold_id::text, '-', '') from idempotency_keys"):
        database.keys[int(product), key] = KeyRow(int(product), key, operation, f"hold_{number}")
    return database
