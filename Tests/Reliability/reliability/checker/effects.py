"""Whether a call explains each change: one call, and none that was refused. One key has one effect."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from ..history import Call
from .book import Book

# The product, the customer and the key.
Key = tuple[int, str | None, str]


def check(calls: list[Call], book: Book) -> list[str]:
    return [*keys(calls, book), *made_once(calls), *holds(calls, book), *changes_of_holds(calls, book),
            *events(calls, book), *restocks(calls, book)]


def key_of(call: Call, book: Book) -> Key | None:
    """Each product and each customer has keys of its own. An order's customer is its hold's."""
    if call.key is None or call.operation not in ("hold", "order"):
        return None
    customer = book.customer_of(call.request["hold_id"]) if call.operation == "order" else call.request.get("customer_id")
    return call.product, customer, call.key


def keys(calls: Iterable[Call], book: Book) -> list[str]:
    by_key: defaultdict[Key, list[Call]] = defaultdict(list)
    violations = []
    for call in calls:
        if (key := key_of(call, book)) is not None:
            by_key[key].append(call)
        elif call.operation in ("hold", "order") and call.is_replay:
            violations.append(f"a replay without a key: {call}")
    for key, same in by_key.items():
        violations += [f"key {key[2]} of product {key[0]}, customer {key[1]} {line}"
                       for line in one_effect(same, book.keys.get(key, {}).get("hold_id"))]
    violations += [f"key {key} is in the database, and no call under it succeeded" for key in book.keys
                   if not any(call.may_have_acted for call in by_key.get(key, ()))]
    return violations


def one_effect(same: list[Call], recorded: str | None) -> list[str]:
    """Under one key there is one request, and one hold or order. `recorded` is the hold that the database has for the key."""
    successes = [call for call in same if call.status == 201]
    made = {call.answer["hold_id"] for call in successes}
    violations = []
    if len(made) > 1 or len({str(sorted(call.request.items())) for call in successes}) > 1:
        violations.append(f"stands for {len(made)} things: {sorted(made)}")
    if made and recorded not in made:
        violations.append(f"leads to {recorded} in the database: {successes[0]}")
    if (fresh := sum(not call.is_replay for call in successes)) > 1:
        violations.append(f"has {fresh} calls that were told that they were the first")
    for call in same:
        others = [other for other in same if other is not call and other.start < call.end and other.may_have_acted]
        if call.is_replay and not any(other.request == call.request for other in others):
            violations.append(f"has a replay of a request that nobody had made before: {call}")
        if call.problem == "idempotency-key-reused" and not any(other.request != call.request for other in others):
            violations.append(f"was refused as that of another request, and this customer made none: {call}, {call.request}")
    return violations


def made_once(calls: Iterable[Call]) -> list[str]:
    """No two calls made the same hold or order. Only a replay tells of it again."""
    made = Counter((call.operation, call.answer["hold_id"]) for call in calls
                   if call.operation in ("hold", "order") and call.status == 201 and not call.is_replay)
    return [f"{count} calls were told that they made the {operation} of {id}"
            for (operation, id), count in made.items() if count > 1]


def holds(calls: list[Call], book: Book) -> list[str]:
    """At most as many holds as calls that succeeded or whose outcome is unknown."""
    made: Counter[tuple[int, int, str | None]] = Counter()
    for id, timeline in book.history["holds"].items():
        row = timeline.versions[0].value
        if row is not None and row["status"] != "released":  # released at once: its number was only taken
            made[row["product_id"], row["quantity"], row["customer_id"]] += 1
    asked = [call for call in calls if call.operation == "hold"]
    told: defaultdict[tuple[int, int, str | None], set[object]] = defaultdict(set)
    open_keys: defaultdict[tuple[int, int, str | None], set[str]] = defaultdict(set)
    unknown: Counter[tuple[int, int, str | None]] = Counter()
    answered_keys = {key_of(call, book) for call in asked if call.key and call.status == 201}
    for call in asked:
        kind = (call.product, call.request["quantity"], call.request.get("customer_id"))
        if call.status == 201:
            told[kind].add(key_of(call, book) or call.answer["hold_id"])
        elif call.may_have_acted and call.key is None:
            unknown[kind] += 1
        elif call.may_have_acted and call.key is not None and key_of(call, book) not in answered_keys:
            open_keys[kind].add(call.key)
    violations = []
    for kind, count in made.items():
        most = len(told[kind]) + unknown[kind] + len(open_keys[kind])
        if count > most:
            violations.append(f"{count} holds of product {kind[0]} with {kind[1]} units for customer {kind[2]}; at most "
                              f"{most} were asked for by those who were not refused")
    return violations


def changes_of_holds(calls: list[Call], book: Book) -> list[str]:
    asked: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for call in calls:
        if call.operation in ("order", "release") and call.may_have_acted:
            asked[call.operation, call.request["hold_id"]].append(call.start)
    violations = []
    for id, timeline in book.history["holds"].items():
        for version in timeline.versions[1:]:
            status = version.value and version.value["status"]
            operation = {"ordered": "order", "released": "release"}.get(status or "")
            if operation and not any(start <= version.by.committed for start in asked[operation, id]):
                violations.append(
                    f"{id} was {status}, and whoever asked for that was refused or told that nothing was done")
    return violations


def events(calls: list[Call], book: Book) -> list[str]:
    by_event: defaultdict[str, list[Call]] = defaultdict(list)
    settled = {call.request["idempotency_key"] for call in calls if call.operation == "settle" and call.may_have_acted}
    for call in calls:
        if call.operation == "pay":
            by_event[call.request["idempotency_key"]].append(call)
    violations = []
    for key, timeline in book.history["payment_events"].items():
        if not any(call.may_have_acted and call.start <= timeline.versions[0].by.committed for call in by_event[key]):
            violations.append(f"payment event {key} is recorded, and its sender was refused or told that nothing was done")
        row = timeline.versions[-1].value
        if row is not None and row["settled_at"] is not None and key not in settled:
            violations.append(f"payment event {key} is settled, and whoever asked for that was refused")
    for key, same in by_event.items():
        fresh = sum(1 for call in same if call.status in (200, 202) and not call.is_replay)
        if fresh > max(1, len(book.times_made("payment_events", key))):
            violations.append(f"{fresh} answers to payment event {key} say that it came for the first time")
    return violations


def restocks(calls: list[Call], book: Book) -> list[str]:
    """A key adds once."""
    done: Counter[tuple[int, int]] = Counter()
    for product, timeline in book.stock.items():
        for before, after in zip(timeline.versions, timeline.versions[1:]):
            delta = after.value.product["total_stock"] - before.value.product["total_stock"]
            if delta:
                done[product, delta] += 1
    asked: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    open_keys: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for call in calls:
        if call.operation == "restock" and call.may_have_acted and call.key:
            (asked if call.status == 200 else open_keys)[call.product, call.request["delta"]].add(call.key)
    violations = []
    for kind in {*done, *asked}:
        least, most = len(asked[kind]), len(asked[kind] | open_keys[kind])
        if not least <= done[kind] <= most:
            violations.append(f"the stock of product {kind[0]} was changed by {kind[1]:+} {done[kind]} times; {least} keys "
                              f"were told so, and {most - least} may have been")
    return violations
