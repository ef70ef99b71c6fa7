"""Whether each payment event did what the contract's table says, given the state before its transaction."""

from dataclasses import dataclass, field

from .book import LIVE, Book, Row, Step
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


@dataclass(slots=True)
class Refusal:
    """A late success that is refund_due: too little stock, or the customer's limit. It is judged once all versions are
    known."""

    key: str
    order: str
    product: int
    customer: str | None
    quantity: int
    given_back: int      # units, by events before it in the same transaction
    begin: float
    end: float


@dataclass(slots=True)
class Verdicts:
    """Of a transaction."""

    violations: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(slots=True)
class Attempt:
    """An order as the events of a transaction change it one after the other."""

    row: Row
    status: str
    is_changed: bool = False


def check(book: Book, step: Step) -> Verdicts:
    verdicts = Verdicts()
    attempts: dict[str, Attempt] = {}
    for (table, id), before in step.before.items():
        if table == "orders" and (row := book.rows["orders"].get(id)) is not None:
            attempts[id] = Attempt(row, before["status"] if before else "pending_payment")
    events = [(key, before, book.rows["payment_events"].get(key))
              for (table, key), before in step.before.items() if table == "payment_events"]
    events.sort(key=lambda event: (event[2]["received_at"], event[0]) if event[2] else (0.0, event[0]))
    given_back: dict[int, int] = {}
    late: dict[int, set[str | None]] = {}
    for key, before, row in events:
        verdicts.violations += unapplied(key, before, row, book, step)
        is_parked = before is not None and before["verdict"] == "parked"
        if row is None or (before is not None and not is_parked) or row["verdict"] == (before and before["verdict"]):
            continue
        order = attempts.get(row["order_id"])
        if order is None and (known := book.rows["orders"].get(row["order_id"])) is not None:
            order = attempts[row["order_id"]] = Attempt(known, known["status"])
        if before is not None and row["verdict"] == "refund_due" and was_given_up(before, row, book, step):
            continue
        if before is not None and before.get("settled_at") is not None:
            if row["verdict"] != "refund_due":
                verdicts.violations.append(f"payment event {key} was settled while it was parked, and then {row['verdict']}")
            continue
        if order is None:
            if row["verdict"] != "parked":
                verdicts.violations.append(f"payment event {key} is {row['verdict']}, and there is no {row['order_id']}")
            continue
        was = order.status
        allowed = following((row["status"], row["amount"], row["currency"]), (order.row["amount"], order.row["currency"]), was)
        if row["verdict"] not in allowed:
            verdicts.violations.append(
                f"payment event {key}, {row['status']} on {row['order_id']} that is {was}, is {row['verdict']}")
            continue
        order.status = allowed[row["verdict"]]
        order.is_changed |= order.status != was
        if row["order_status"] != order.status:
            verdicts.violations.append(
                f"payment event {key} says that {row['order_id']} is {row['order_status']}, which is {order.status}")
        product, customer = row["product_id"], book.customer_of(row["order_id"])
        if "reacquired" in allowed and row["verdict"] == "refund_due":
            verdicts.refusals.append(Refusal(
                key, row["order_id"], product, customer, order.row["quantity"], given_back.get(product, 0), step.by.began,
                step.by.committed))
        change = (was in LIVE) - (order.status in LIVE)
        given_back[product] = given_back.get(product, 0) + change * order.row["quantity"]
        if row["verdict"] == "reacquired":
            late.setdefault(product, set()).add(customer)
    for product, customers in late.items():
        verdicts.violations += within_limit(book, step, product, customers, "a late payment")
    for id, attempt in attempts.items():
        verdicts.violations += ended(id, attempt, step)
        if step.before.get(("orders", id), attempt.row) is None and book.parked[id]:
            verdicts.violations.append(f"{id} was placed, and its parked events were not applied: {sorted(book.parked[id])}")
    return verdicts


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


def was_given_up(before: Row, row: Row, book: Book, step: Step) -> bool:
    """Whether a parked success may have become refund_due by its age, or by being settled."""
    is_old = step.by.committed - before["received_at"] >= book.conditions.parked_ttl
    return before["status"] == "success" and (is_old or row.get("settled_at") is not None)


def ended(id: str, attempt: Attempt, step: Step) -> list[str]:
    """The order is as its events left it, or has expired."""
    status, before = attempt.row["status"], step.before.get(("orders", id))
    if status == attempt.status:
        return []
    if (before and before["status"], status) == ("pending_payment", "expired") and not attempt.is_changed:
        at = step.first("orders", id) or 0.0
        early = attempt.row["payment_due_at"] - at
        return [f"{id} was expired {early:.4f} s before it was due"] if early > 0 else []
    return [f"{id} is {status}, and by its payments it is {attempt.status}"]
