"""The rows of the database at the end of a run."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class HoldRow:
    product: int
    id: str              # as clients see it
    quantity: int
    status: str
    expires_at: float    # times are seconds since 1970
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


# Where PostgreSQL keeps no commit times, only responses bound the time of a change.
CHANGED = """extract(epoch from coalesce(case when current_setting('track_commit_timestamp') = 'on'
                                               then pg_xact_commit_timestamp(xmin) end, 'epoch')) as changed_at"""
TABLES = {
    "products": "select id, total_stock as stock, price from products",
    "holds": """
        select product_id as product, 'hold_' || replace(id::text, '-', '') as id, quantity, status,
               extract(epoch from expires_at) as expires_at, customer_id as customer
        from holds""",
    "orders": f"""
        select product_id as product, 'order_' || replace(id::text, '-', '') as id, quantity, amount, currency, status,
               extract(epoch from payment_due_at) as due_at, extract(epoch from created_at) as created_at, {CHANGED}
        from orders""",
    "events": f"""
        select idempotency_key as key, 'order_' || replace(order_id::text, '-', '') as order_id, status, amount, currency,
               verdict, order_status, extract(epoch from received_at) as received_at, {CHANGED}
        from payment_events""",
    "keys": """
        select product_id as product, key, operation, 'hold_' || replace(hold_id::text, '-', '') as id
        from idempotency_keys""",
}


def read(sql: Callable[[str], str]) -> Database:
    return of_tables({name: [json.loads(line) for line in sql(f"select row_to_json(r) from ({query}) r").splitlines()]
                      for name, query in TABLES.items()})


def of_tables(tables: dict[str, list[dict[str, Any]]]) -> Database:
    return Database(
        {row["id"]: row["stock"] for row in tables["products"]},
        {row["id"]: row["price"] for row in tables["products"]},
        {row["id"]: HoldRow(**row) for row in tables["holds"]},
        {row["id"]: OrderRow(**row) for row in tables["orders"]},
        {row["key"]: EventRow(**row) for row in tables["events"]},
        {(row["product"], row["key"]): KeyRow(**row) for row in tables["keys"]})


def save(path: Path, database: Database, *ttls: float) -> None:
    """- ttls: of holds and of orders, in seconds."""
    tables: dict[str, Any] = {
        name: [asdict(row) for row in getattr(database, name).values()] for name in ("holds", "orders", "events", "keys")}
    tables["products"] = [
        {"id": id, "stock": stock, "price": database.prices[id]} for id, stock in database.stock.items()]
    path.write_text(json.dumps(tables | {"ttls": ttls}))


def load(path: Path) -> tuple[Database, float, float]:
    """What `save` wrote."""
    tables = json.loads(path.read_text())
    hold_ttl, order_ttl = tables["ttls"]
    return of_tables(tables), hold_ttl, order_ttl
