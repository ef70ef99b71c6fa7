"""The log of all committed row changes, kept by triggers, and read in the order of commits.

`pg_xact_commit_timestamp` gives that order. Of two transactions that lock the same row, the second gets the lock when
the first has committed, and takes its own commit time after that. The same is true of advisory locks. The order of two
transactions that share no lock does not matter. The order is checked: each change says what it found (`was`), which
must be what the change before it left.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

from harness.processes import output_of
from harness.services import sql

# The tables, each with the column that tells what a change found.
TABLES = {"products": "available_stock", "holds": "status", "orders": "status", "payment_events": "verdict",
          "idempotency_keys": "operation"}
TIMES = ("expires_at", "payment_due_at", "created_at", "paid_at", "received_at", "settled_at", "starts_at", "ends_at")


@dataclass(slots=True)
class Change:
    """A row as a transaction left it; None where it deleted it."""

    table: str
    id: str              # of the row, as clients see it
    at: float            # when the row was locked and changed
    was: str | None      # what `TABLES` names, as it was found; None where the row was inserted
    row: dict[str, Any] | None


@dataclass(slots=True, eq=False)
class Transaction:
    """Times are the database's, which clients share."""

    id: str
    began: float
    committed: float
    changes: list[Change] = field(default_factory=list)
    seen_by: float = inf     # when it was certainly visible; responses narrow it

    def was_seen(self, at: float) -> None:
        """By then, no later."""
        self.seen_by = max(self.committed, min(self.seen_by, at))


def install(url: str) -> None:
    sql(url, Path(__file__).with_suffix(".sql").read_text())


def save(url: str, path: Path, query: str = "select * from harness.log") -> None:
    output_of("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-o", path, "-c", query)


def read(path: Path) -> Iterator[Transaction]:
    """In the order of commits."""
    transaction: Transaction | None = None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            committed, number, began, at, table, id, was, row = json.loads(line)
            if transaction is None or transaction.id != number:
                if transaction is not None:
                    yield transaction
                transaction = Transaction(number, began, committed)
            transaction.changes.append(Change(table, shown(table, id), at, was, understood(table, row)))
    if transaction is not None:
        yield transaction


def shown(table: str, id: str) -> str:
    """The id of a row as clients see it."""
    return f"{table[:-1]}_{id.replace('-', '')}" if table in ("holds", "orders") else id


def understood(table: str, row: dict[str, Any] | None) -> dict[str, Any] | None:
    """With times in seconds, and ids as clients see them."""
    if row is None:
        return None
    for name in TIMES:
        if row.get(name) is not None:
            row[name] = datetime.fromisoformat(row[name]).timestamp()
    if table in ("holds", "orders"):
        row["id"] = shown(table, row["id"])
    elif table == "payment_events":
        row["order_id"] = shown("orders", row["order_id"])
    elif table == "idempotency_keys":
        row["hold_id"] = shown("holds", row["hold_id"])
    return row
