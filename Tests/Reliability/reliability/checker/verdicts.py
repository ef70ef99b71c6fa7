"""Whether each payment event did what the contract's table says, given the state before its transaction."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from .book import LIVE, Book, Refusal, Row, Step
from .rules import within_limit


def following(event: Row, order: Row, now: str) -> dict[str, str]:
    """The verdicts that an event may get, each with the status of its order after it. `now` is the status before."""
    if event["amount"] not in (None, order["amount"]) or event["currency"] not in (None, order["currency"]):
        return {"amount_mismatch": now}
    if event["status"] == "failed":
        return {"applied": "cancelled"} if now == "pending_payment" else {"ignored": now}
    if now == "pending_payment":
        return {"applied": "paid"}
    return {"reacquired": "paid", "refund_due": now} if now in ("cancelled", "expired") else {"refund_due": now}


def check(book: Book, step: Step) -> Iterator[str]:
    orders = book.rows["orders"]
    placed = {id: before for (table, id), before in step.before.items() if table == "orders" and id in orders}
    # The status of each order, as the events of the transaction change it one after the other.
    now = {id: str(before["status"]) if before else "pending_payment" for id, before in placed.items()}
    changed: set[str] = set()
    given_back: Counter[int] = Counter()
    late: defaultdict[int, set[str | None]] = defaultdict(set)
    # In the order of their arrival, before and after the transaction.
    events = [(key, before, book.rows["payment_events"].get(key))
              for (table, key), before in step.before.items() if table == "payment_events"]
    for key, before, row in sorted(events, key=lambda event: (event[2]["received_at"] if event[2] else 0.0, event[0])):
        if before is not None:
            yield from unapplied(key, before, row, book, step)
        if row is None or not is_decided(before, row, book, step):
            continue
        id, product, verdict = row["order_id"], row["product_id"], row["verdict"]
        if before is not None and before["settled_at"] is not None:
            if verdict != "refund_due":
                yield f"payment event {key} was settled while it was parked, and then {verdict}"
            continue
        if id not in orders:
            if verdict != "parked":
                yield f"payment event {key} is {verdict}, and there is no {id}"
            continue
        order = orders[id]
        was = now.setdefault(id, order["status"])
        allowed = following(row, order, was)
        if verdict not in allowed:
            yield f"payment event {key}, {row['status']} on {id} that is {was}, is {verdict}"
            continue
        now[id] = allowed[verdict]
        if now[id] != was:
            changed.add(id)
        if row["order_status"] != now[id]:
            yield f"payment event {key} says that {id} is {row['order_status']}, which is {now[id]}"
        if "reacquired" in allowed and verdict == "refund_due":
            book.refusals.append(Refusal(key, order, given_back[product], step.by))
        given_back[product] += ((was in LIVE) - (now[id] in LIVE)) * order["quantity"]
        # An order that is placed in this transaction had its hold's units before. It returns none to anybody, so a
        # limit that was lowered since the hold takes nothing away.
        is_new = id in placed and placed[id] is None
        if verdict == "reacquired" and not is_new:
            late[product].add(book.customer_of(id))
    for product, customers in late.items():
        yield from within_limit(book, step, product, customers, "a late payment")
    for id, status in now.items():
        # The order is as its events left it, or has expired.
        row, before = orders[id], placed.get(id)
        if id not in changed and before and (before["status"], row["status"]) == ("pending_payment", "expired"):
            if (early := row["payment_due_at"] - (step.first("orders", id) or 0.0)) > 0:
                yield f"{id} was expired {early:.4f} s before it was due"
        elif row["status"] != status and (status, row["status"]) != ("paid", "refunded"):  # rules.py has refunds
            yield f"{id} is {row['status']}, and by its payments it is {status}"
        if id in placed and before is None and book.parked[id]:
            yield f"{id} was placed, and its parked events were not applied: {sorted(book.parked[id])}"


def is_decided(before: Row | None, row: Row, book: Book, step: Step) -> bool:
    """Whether the transaction gave the event its verdict by the state of its order."""
    if before is None:
        return True
    if before["verdict"] != "parked" or row["verdict"] == "parked":
        return False
    # A parked success becomes refund_due by its age, or by being settled.
    is_old = step.by.committed - before["received_at"] >= book.conditions.parked_ttl
    is_given_up = before["status"] == "success" and (is_old or row["settled_at"] is not None)
    return row["verdict"] != "refund_due" or not is_given_up


def unapplied(key: str, before: Row, row: Row | None, book: Book, step: Step) -> Iterator[str]:
    """Events that change without being applied."""
    if row is None and (before["verdict"] != "parked" or before["status"] != "failed"):
        yield f"payment event {key} is gone: a {before['status']} that was {before['verdict']}"
    elif row is None:
        if (kept := step.by.committed - before["received_at"]) < book.conditions.parked_ttl:
            yield f"payment event {key} was kept for {kept:.3f} s only"
    elif any(before[name] != row[name] for name in ("order_id", "status", "amount", "currency", "received_at")):
        yield f"payment event {key} is another than before: {row}"
    elif before["verdict"] not in ("parked", row["verdict"]):
        yield f"payment event {key} was {before['verdict']}, then {row['verdict']}"
    elif before.get("settled_at") is not None and row.get("settled_at") is None:
        yield f"payment event {key} is not settled any more"
