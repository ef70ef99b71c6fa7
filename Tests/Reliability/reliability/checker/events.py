"""Whether events tell each transition once, and truly, to each endpoint that wants it.

The log of changes has the transitions, and the version of an object counts them. Events may come in any order, and
again. An event with the last version of an order tells the order as its row is.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..history import seconds
from .changes import Transaction
from .timeline import ROUNDED

# The types that each endpoint of a run wants. An endpoint is known by them.
SUBSCRIPTIONS = ("order.*", "* hold.*")
QUERY = ("select json_build_array('evt_' || replace(id::text, '-', ''), type, object_id, version) "
         "from flashsale.events order by transaction_id, number")

Row = dict[str, Any]
Subject = tuple[str, str, int]         # the kind of an object, its id, and the version that an event tells
Recorded = tuple[str, str, str, int]   # a row of the table of events: id, type, the object's id, version


class Receipt(NamedTuple):
    """A request that came to an endpoint."""

    endpoint: str
    id: str            # webhook-id
    body: str
    is_signed: bool
    is_accepted: bool  # it was told 2xx


class Data(NamedTuple):
    """Which members of an event's data identify its object, and are as in the object's row."""

    id: str
    same: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


PAYMENT = Data("idempotency_key", ("order_id", "status", "amount", "currency", "verdict", "order_status"),
               ("received_at",))
DATA = {
    "order": Data("order_id", ("status", "product_id", "quantity", "amount", "currency", "refunded_amount", "dispute"),
                  ("payment_due_at", "created_at", "paid_at")),
    "hold": Data("hold_id", ("status", "product_id", "quantity", "customer_id"), ("expires_at",)),
    "refund": PAYMENT, "payment": PAYMENT, "product": Data("id"),
}


def read_events(path: Path) -> Iterator[Recorded]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            id, type, object, version = json.loads(line)
            yield id, type, object, version


def read_receipts(path: Path) -> Iterator[Receipt]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield Receipt(*json.loads(line))


def kind_of(type: str) -> str:
    return type.partition(".")[0]


def wants(endpoint: str, type: str) -> bool:
    """A hold is many events, so * does not include them."""
    kind = kind_of(type)
    return any(name in (type, f"{kind}.*") or name == "*" and kind != "hold" for name in endpoint.split())


def check(log: Iterable[Transaction], recorded: Iterable[Recorded], receipts: Iterable[Receipt]) -> Iterator[str]:
    transitions, wrong = transitions_of(log)
    yield from wrong
    events: dict[Subject, tuple[str, str]] = {}
    for id, type, object, version in recorded:
        subject = kind_of(type), object, version
        if subject in events:
            yield f"{object} has two events with version {version}: {events[subject]} and {(id, type)}"
        events[subject] = id, type
    for subject in {**transitions, **events}:
        (should, *_), (*_, told) = transitions.get(subject, (None,)), events.get(subject, (None,))
        if should != told:
            yield f"version {subject[2]} of {subject[1]} is {should} in the log, and {told} in the table of events"

    bodies: dict[str, tuple[int, str, Subject]] = {}   # by the event's id: the body's hash, the type, the subject
    accepted: defaultdict[str, set[Subject]] = defaultdict(set)
    for receipt in receipts:
        if not receipt.is_signed:
            yield f"event {receipt.id} came to {receipt.endpoint} without its signature"
            continue
        if receipt.id not in bodies:
            event = json.loads(receipt.body)
            type, data = event["type"], event["data"]
            subject = kind_of(type), str(data[DATA[kind_of(type)].id]), data["version"]
            bodies[receipt.id] = hash(receipt.body), type, subject
            if event["id"] != receipt.id or events.get(subject) != (receipt.id, type):
                yield (f"event {receipt.id} came as {event['id']}, {type} with version {subject[2]} of {subject[1]}, "
                       f"and the table of events has {events.get(subject)}")
            elif subject in transitions:
                yield from untrue(data, type, transitions[subject][1])
        known, type, subject = bodies[receipt.id]
        if known != hash(receipt.body):
            yield f"event {receipt.id} came with two bodies"
        if not wants(receipt.endpoint, type):
            yield f"event {receipt.id} came to {receipt.endpoint}, which does not want {type}"
        if receipt.is_accepted:
            accepted[receipt.endpoint].add(subject)
    for endpoint in SUBSCRIPTIONS:
        for subject, (type, _) in transitions.items():
            if wants(endpoint, type) and subject not in accepted[endpoint]:
                yield f"{type} with version {subject[2]} of {subject[1]} never came to {endpoint}"


def untrue(data: Row, type: str, row: Row) -> Iterator[str]:
    """`row` is the object's row after the transition."""
    shape = DATA[kind_of(type)]
    different = [name for name in shape.same if data[name] != row[name]]
    for name in shape.times:
        told, time = data[name] and seconds(data[name]), row[name]
        if (told is None) != (time is None) or told is not None and abs(told - time) > ROUNDED:
            different.append(name)
    if different:
        yield (f"{type} with version {data['version']} of {data[shape.id]} tells "
               f"{', '.join(f'{name} {data[name]}, which is {row[name]}' for name in different)}")


def transitions_of(log: Iterable[Transaction]) -> tuple[dict[Subject, tuple[str, Row]], list[str]]:
    """What events have to tell, with the row after each transition; and versions that do not count the transitions."""
    rows: dict[tuple[str, str], Row] = {}
    told: dict[Subject, tuple[str, Row]] = {}
    last: dict[tuple[str, str], Subject] = {}
    wrong: list[str] = []
    for transaction in log:
        for change in transaction.changes:
            name, row = (change.table, change.id), change.row
            before = rows.get(name)
            if row is None or change.table == "idempotency_keys":
                continue
            rows[name] = row
            type = type_of(change.table, before, row)
            version = before.get("version", int(change.table == "holds")) if before else 0
            version += type is not None
            if row.get("version", version) != version:
                wrong.append(f"{change.id} has version {row['version']} after {type}, which is number {version}")
            if type is not None:
                last[name] = kind_of(type), change.id, version
                told[last[name]] = type, row
            elif name in last and before and before.get("status") == row.get("status"):
                # The same transaction may correct what it has just made: a wait for a lock moves its times.
                told[last[name]] = told[last[name]][0], row
    return told, wrong


def type_of(table: str, before: Row | None, row: Row) -> str | None:
    """Of the event that tells the change of a row; None for a change that no event tells."""
    match table:
        case "orders":
            if before is None:
                return "order.placed"
            if any(before[name] != row[name] for name in ("refunded_amount", "is_restocked")):
                return "order.refunded"
            return f"order.{row['status']}" if before["status"] != row["status"] else None
        case "holds":
            if before is None:  # released at once: its number was only taken
                return "hold.placed" if row["status"] == "active" else None
            is_over = before["status"] != row["status"] and row["status"] in ("released", "expired")
            return f"hold.{row['status']}" if is_over else None
        case "payment_events":
            is_news = (before is None or before["verdict"] != row["verdict"]) and row["settled_at"] is None
            types = {"refund_due": "refund.due", "amount_mismatch": "payment.mismatched"}
            return types.get(row["verdict"]) if is_news else None
    if before is None or before["version"] == row["version"]:
        return None
    if row["total_stock"] > before["total_stock"]:
        return "product.restocked"
    return "product.paused" if row["is_paused"] and not before["is_paused"] else "product.sold_out"
