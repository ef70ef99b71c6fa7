"""Whether each payment event did what the contract's table says, given the state before its transaction."""

from collections import Counter, defaultdict

from .book import LIVE, Book, Refusal, Row, Step
from .rules import within_limit


def following(
    event: tuple[str, int | None, str | None], order: tuple[int, str], now: str
) -> dict[str, str]:
    """The verdicts that an event may get, each with the status of its order after it.

    - event: its status, amount and currency.
    - order: its amount and currency.
    - now: the status of the order before.
    """
    status, amount, currency = event
    if amount not in (None, order[0]) or currency not in (None, order[1]):
        return {"amount_mismatch": now}
    if status == "failed":
        return {"applied": "cancelled"} if now == "pending_payment" else {"ignored": now}
    if now == "pending_payment":
        return {"applied": "paid"}
    if now in ("cancelled", "expired"):
        return {"reacquired": "paid", "refund_due": now}
    return {"refund_due": now}


def check(book: Book, step: Step) -> list[str]:
    violations: list[str] = []
    placed = {id: before for (table, id), before in step.before.items() if table == "orders" and id in book.rows["orders"]}
    # The status of each order, as the events of the transaction change it one after the other.
    now = {id: before["status"] if before else "pending_payment" for id, before in placed.items()}
    changed: set[str] = set()
    given_back: Counter[int] = Counter()
    late: defaultdict[int, set[str | None]] = defaultdict(set)
    for key, before, row in events_of(book, step):
        violations += unapplied(key, before, row, book, step)
        if row is None or not is_decided(before, row, book, step):
            continue
        id, product, verdict = row["order_id"], row["product_id"], row["verdict"]
        if before is not None and before["settled_at"] is not None:
            if verdict != "refund_due":
                violations.append(f"payment event {key} was settled while it was parked, and then {verdict}")
            continue
        order = book.rows["orders"].get(id)
        if order is None:
            if verdict != "parked":
                violations.append(f"payment event {key} is {verdict}, and there is no {id}")
            continue
        was = now.setdefault(id, order["status"])
        allowed = following((row["status"], row["amount"], row["currency"]), (order["amount"], order["currency"]), was)
        if verdict not in allowed:
            violations.append(f"payment event {key}, {row['status']} on {id} that is {was}, is {verdict}")
            continue
        now[id] = allowed[verdict]
        if now[id] != was:
            changed.add(id)
        if row["order_status"] != now[id]:
            violations.append(f"payment event {key} says that {id} is {row['order_status']}, which is {now[id]}")
        if "reacquired" in allowed and verdict == "refund_due":
            book.refusals.append(Refusal(key, order, given_back[product], step.by))
        given_back[product] += ((was in LIVE) - (now[id] in LIVE)) * order["quantity"]
        # An order that is placed in this transaction had its hold's units before. It returns none to anybody, so a limit that
        # was lowered since the hold takes nothing away.
        is_new = id in placed and placed[id] is None
        if verdict == "reacquired" and not is_new:
            late[product].add(book.customer_of(id))
    for product, customers in late.items():
        violations += within_limit(book, step, product, customers, "a late payment")
    for id, status in now.items():
        violations += ended(id, status, id in changed, book, step)
        if id in placed and placed[id] is None and book.parked[id]:
            violations.append(f"{id} was placed, and its parked events were not applied: {sorted(book.parked[id])}")
    return violations


def events_of(book: Book, step: Step) -> list[tuple[str, Row | None, Row | None]]:
    """The payment events of a transaction in the order of their arrival, before and after it."""
    events = [(key, before, book.rows["payment_events"].get(key))
              for (table, key), before in step.before.items() if table == "payment_events"]
    return sorted(events, key=lambda event: (event[2]["received_at"] if event[2] else 0.0, event[0]))


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


def unapplied(key: str, before: Row | None, row: Row | None, book: Book, step: Step) -> list[str]:
    """Events that change without being applied."""
    if before is None:
        return []
    if row is None:
        if before["verdict"] != "parked" or before["status"] != "failed":
            return [f"payment event {key} is gone: a {before['status']} that was {before['verdict']}"]
        kept = step.by.committed - before["received_at"]
        return [] if kept >= book.conditions.parked_ttl else [f"payment event {key} was kept for {kept:.3f} s only"]
    names = ("order_id", "status", "amount", "currency", "received_at")
    if any(before[name] != row[name] for name in names):
        return [f"payment event {key} is another than before: {row}"]
    if before["verdict"] not in ("parked", row["verdict"]):
        return [f"payment event {key} was {before['verdict']}, then {row['verdict']}"]
    if before.get("settled_at") is not None and row.get("settled_at") is None:
        return [f"payment event {key} is not settled any more"]
    return []


def ended(id: str, by_events: str, is_changed: bool, book: Book, step: Step) -> list[str]:
    """The order is as its events left it, or has expired."""
    row, before = book.rows["orders"][id], step.before.get(("orders", id))
    if row["status"] == by_events:
        return []
    if (before and before["status"], row["status"]) == ("pending_payment", "expired") and not is_changed:
        early = row["payment_due_at"] - (step.first("orders", id) or 0.0)
        return [f"{id} was expired {early:.4f} s before it was due"] if early > 0 else []
    return [f"{id} is {row['status']}, and by its payments it is {by_events}"]
