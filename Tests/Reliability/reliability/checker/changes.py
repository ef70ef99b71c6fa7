"""The log of all committed row changes, kept by triggers, and read in the order of commits.

`pg_xact_commit_timestamp` gives that order. Of two transactions that lock the same row, the second gets the lock when the
first has committed, and takes its own commit time after that. The same is true of advisory locks. The order of two
transactions that share no lock does not matter. The order is checked: each change says what it found (`was`), which must be
what the change before it left.
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
KEYS = {"payment_events": "idempotency_key", "idempotency_keys": "key"}  # the column that identifies a row, if not id
TIMES = ("expires_at", "payment_due_at", "created_at", "received_at", "settled_at", "starts_at", "ends_at")

# In a schema of its own, which the program's functions do not see. Without an index, since every transaction writes it.
INSTALL = """
create schema harness;
create sequence harness.numbers cache 1;
create table harness.changes (
    number bigint not null, transaction text not null, began timestamptz not null, at timestamptz not null,
    table_name text not null, was text, row jsonb, id text not null);
create function harness.note() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_row jsonb := case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
begin
    insert into harness.changes (number, transaction, began, at, table_name, was, row, id)
    values (nextval('harness.numbers'), pg_current_xact_id()::text, transaction_timestamp(), clock_timestamp(),
            tg_table_name, case when tg_op <> 'INSERT' then to_jsonb(old) ->> tg_argv[0] end,
            case when tg_op <> 'DELETE' then v_row end, v_row ->> tg_argv[1]);
    return null;
end
$$;
grant usage on schema harness to public;
"""
TRIGGER = """
create trigger note after insert or update or delete on {table} for each row
execute function harness.note('{found}', '{id}');
"""
# A row of a subtransaction has the subtransaction's xmin, with the commit time of the whole transaction.
READ = """
select json_build_array(
    extract(epoch from pg_xact_commit_timestamp(c.xmin)), c.transaction, extract(epoch from c.began),
    extract(epoch from c.at), c.table_name, c.id, c.was, c.row)
from harness.changes c
order by pg_xact_commit_timestamp(c.xmin), c.transaction, c.number
"""


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
    sql(url, INSTALL + "".join(TRIGGER.format(table=table, found=found, id=KEYS.get(table, "id"))
                               for table, found in TABLES.items()))


def save(url: str, path: Path) -> None:
    output_of("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-o", path, "-c", READ)


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
