"""Whether a call explains each change: one call, and none that was refused. One key has one effect."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from math import inf

from ..history import Call
from .book import Book, Row

# The product, the customer and the key.
Key = tuple[int, str | None, str]


def check(calls: list[Call], book: Book) -> Iterator[str]:
    return chain(keys(calls, book), holds(calls, book), explained(calls, book), restocks(calls, book),
                 refunds(calls, book))


def key_of(call: Call, book: Book) -> Key | None:
    """Each product and each customer has keys of its own. An order's customer is its hold's."""
    if call.key is None or call.operation not in ("hold", "order"):
        return None
    is_order = call.operation == "order"
    customer = book.customer_of(call.request["hold_id"]) if is_order else call.request.get("customer_id")
    return call.product, customer, call.key


def keys(calls: list[Call], book: Book) -> Iterator[str]:
    by_key: defaultdict[Key, list[Call]] = defaultdict(list)
    for call in calls:
        if (key := key_of(call, book)) is not None:
            by_key[key].append(call)
        elif call.operation in ("hold", "order") and call.is_replay:
            yield f"a replay without a key: {call}"
    for key, same in by_key.items():
        for line in one_effect(same, book.keys.get(key, {}).get("hold_id")):
            yield f"key {key[2]} of product {key[0]}, customer {key[1]} {line}"
    for key in book.keys:
        if not any(call.may_have_acted for call in by_key.get(key, ())):
            yield f"key {key} is in the database, and no call under it succeeded"


def one_effect(same: list[Call], recorded: str | None) -> Iterator[str]:
    """A key has one request, and one hold or order. `recorded` is the hold that the database has for the key."""
    successes = [call for call in same if call.status == 201]
    made = {call.answer["hold_id"] for call in successes}
    if len(made) > 1 or len({str(sorted(call.request.items())) for call in successes}) > 1:
        yield f"stands for {len(made)} things: {sorted(made)}"
    if made and recorded not in made:
        yield f"leads to {recorded} in the database: {successes[0]}"
    if (fresh := sum(not call.is_replay for call in successes)) > 1:
        yield f"has {fresh} calls that were told that they were the first"
    for call in same:
        others = [other for other in same if other is not call and other.start < call.end and other.may_have_acted]
        if call.is_replay and not any(other.request == call.request for other in others):
            yield f"has a replay of a request that nobody had made before: {call}"
        if call.problem == "idempotency-key-reused" and not any(other.request != call.request for other in others):
            yield f"was refused as that of another request, and this customer made none: {call}, {call.request}"


def holds(calls: list[Call], book: Book) -> Iterator[str]:
    """At most as many holds as requests that succeeded or whose outcome is unknown. A key stands for one request."""
    # No two calls made the same hold or order. Only a replay tells of it again.
    told = Counter((call.operation, call.answer["hold_id"]) for call in calls
                   if call.operation in ("hold", "order") and call.status == 201 and not call.is_replay)
    for (operation, made_id), count in told.items():
        if count > 1:
            yield f"{count} calls were told that they made the {operation} of {made_id}"
    Kind = tuple[int, int, str | None]  # the product, the quantity, the customer
    made: Counter[Kind] = Counter()
    for timeline in book.history["holds"].values():
        row = timeline.versions[0].value
        if row is not None and row["status"] != "released":  # released at once: its number was only taken
            made[row["product_id"], row["quantity"], row["customer_id"]] += 1
    asked = [(key_of(call, book), call) for call in calls if call.operation == "hold" and call.may_have_acted]
    requests: defaultdict[Kind, set[object]] = defaultdict(set)
    # A key that has succeeded with one request has no effect with another.
    kinds = {key: call.request for key, call in asked if call.status == 201 and key}
    for key, call in asked:
        request = kinds.get(key, call.request) if key else call.request
        requests[call.product, request["quantity"], request.get("customer_id")].add(
            key or call.answer.get("hold_id") or id(call))
    for kind, count in made.items():
        if count > len(requests[kind]):
            yield (f"{count} holds of product {kind[0]} with {kind[1]} units for customer {kind[2]}; at most "
                   f"{len(requests[kind])} requests may have made them")


def explained(calls: list[Call], book: Book) -> Iterator[str]:
    """Clients asked for each order, release, payment event and settlement before it happened, and were not refused."""
    asked: defaultdict[tuple[str, str], float] = defaultdict(lambda: inf)
    fresh: Counter[str] = Counter()
    for call in calls:
        subject = call.request.get("idempotency_key") or call.request.get("hold_id", "")
        if call.may_have_acted:
            asked[call.operation, subject] = min(asked[call.operation, subject], call.start)
        if call.operation == "pay" and call.status in (200, 202) and not call.is_replay:
            fresh[subject] += 1
    for id, timeline in chain(book.history["holds"].items(), book.history["payment_events"].items()):
        before = None
        for version in timeline.versions:
            operation = operation_of(before, version.value)
            if operation and asked[operation, id] > version.by.committed:
                yield (f"{id} changed by {operation}, and its sender was refused or told that nothing was done: "
                       f"{version.value}")
            before = version.value
    for key, count in fresh.items():
        if count > max(1, len(book.times_made("payment_events", key))):
            yield f"{count} answers to payment event {key} say that it came for the first time"


def operation_of(before: Row | None, row: Row | None) -> str | None:
    """The operation that changes a hold or a payment event so."""
    if row is not None and "verdict" in row:
        if before is None:
            return "pay"
        return "settle" if row["settled_at"] is not None and before["settled_at"] is None else None
    if row is None or before is None or before["status"] == row["status"]:
        return None
    return {"ordered": "order", "released": "release"}.get(row["status"])


def restocks(calls: list[Call], book: Book) -> Iterator[str]:
    """A key adds once."""
    done: Counter[tuple[int, int]] = Counter()
    for product, timeline in book.stock.items():
        totals = [version.value.product["total_stock"] for version in timeline.versions]
        done.update((product, after - before) for before, after in zip(totals, totals[1:]))
    told: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    asked: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for call in calls:
        if call.operation == "restock" and call.may_have_acted and call.key:
            asked[call.product, call.request["delta"]].add(call.key)
            if call.status == 200:
                told[call.product, call.request["delta"]].add(call.key)
    for kind in {*done, *asked}:
        if kind[1] != 0 and not len(told[kind]) <= done[kind] <= len(asked[kind]):
            yield (f"the stock of product {kind[0]} was changed by {kind[1]:+} {done[kind]} times; {len(told[kind])} "
                   f"keys were told so, and {len(asked[kind])} asked")


def refunds(calls: list[Call], book: Book) -> Iterator[str]:
    """A key refunds once, and what it was told. A refund that nobody was told of may have any amount."""
    told: defaultdict[str, dict[str | None, int]] = defaultdict(dict)
    asked: defaultdict[str, set[str | None]] = defaultdict(set)
    for call in calls:
        if call.operation == "refund" and call.may_have_acted:
            asked[call.order_id].add(call.key)
            amount = call.answer.get("amount", 0)
            if call.status == 201 and told[call.order_id].setdefault(call.key, amount) != amount:
                yield f"refund {call.key} was told of {told[call.order_id][call.key]}, and of {amount}"
    for id, timeline in book.history["orders"].items():
        states = [(row["refunded_amount"], row["is_restocked"])
                  for version in timeline.versions if (row := version.value) is not None]
        done, total = sum(before != after for before, after in zip(states, states[1:])), states[-1][0]
        known, of_known = len(told[id]), sum(told[id].values())
        if not known <= done <= len(asked[id]) or of_known > total or known == done and of_known < total:
            yield (f"{id} was refunded {done} times, {total} in all; {known} keys were told of {of_known}, and "
                   f"{len(asked[id])} asked")
