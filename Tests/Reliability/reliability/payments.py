"""Whether some sequence of steps explains an order: its payment events, their verdicts, and each status in a response.
The sequence must agree with the contract's table and with the times of the calls."""

from dataclasses import dataclass
from math import inf

from .contract import following
from .database import Database, EventRow, OrderRow
from .evidence import Evidence, first_end, first_start, order_status
from .history import Call, describe


def check(evidence: Evidence, database: Database) -> list[str]:
    violations = [line for key, calls in evidence.by_event.items() for line in recorded(key, calls, evidence, database)]
    asked = set(evidence.by_event)
    violations += [
        f"a payment event that nobody sent: {row}" for key, row in database.events.items() if key not in asked]
    for id, order in database.orders.items():
        violations += explained(order, evidence.by_order[id], evidence, database)
    return violations


def recorded(key: str, calls: list[Call], evidence: Evidence, database: Database) -> list[str]:
    """An acknowledged event is in the database, and every response under its key agrees with it."""
    row = database.events.get(key)
    violations = []
    fresh = 0
    for call in calls:
        if call.status not in (200, 202):
            if call.problem == "idempotency-key-reused" and row is not None and is_same(call, row):
                violations.append(f"payment event {key} was refused as another under its key: {describe(call)}")
            continue
        fresh += not call.is_replay
        verdict = call.answer["verdict"]
        if row is None:
            violations.append(f"an acknowledged payment event is not in the database: {key} ({describe(call)})")
        elif not is_same(call, row):
            violations.append(f"another event was accepted under the key {key}: {describe(call)}")
        elif verdict == "parked":
            order = database.orders.get(row.order_id)
            if row.verdict != "parked" and (order is None or row.received_at > order.created_at):
                violations.append(f"payment event {key} was parked, and its order was there: {describe(call)}")
        elif (verdict, call.answer["order_status"]) != (row.verdict, row.order_status):
            violations.append(f"payment event {key} got the verdict {verdict}, {call.answer['order_status']}; recorded "
                              f"is {row.verdict}, {row.order_status}: {describe(call)}")
    if row is not None and not any(call.may_have_acted for call in calls):
        violations.append(
            f"payment event {key} is in the database, and its sender was refused or told that nothing was done")
    if fresh > 1:
        violations.append(f"{fresh} answers to payment event {key} say that it came for the first time")
    return violations


def is_same(call: Call, row: EventRow) -> bool:
    request = call.request
    return ((request["order_id"], request["status"], request.get("amount"), request.get("currency"))
            == (row.order_id, row.status, row.amount, row.currency))


@dataclass(slots=True)
class Step:
    """A change of an order, or a response that shows it, at one moment within the bounds."""

    begin: float
    end: float
    label: str
    event: EventRow | None = None
    seen: str | None = None       # "" for not found
    is_placing: bool = False
    is_expiry: bool = False


def explained(order: OrderRow, calls: list[Call], evidence: Evidence, database: Database) -> list[str]:
    rows = {row.key: row for call in calls if call.operation == "pay"
            and (row := database.events.get(call.request["idempotency_key"])) and row.order_id == order.id}
    parked = sorted((row for row in rows.values() if row.received_at < order.created_at),
                    key=lambda row: (row.received_at, row.key))
    steps = [Step(order.created_at, first_end(call for call in calls if order_status(call)), "placed", is_placing=True)]
    for key, row in rows.items():
        if row not in parked:
            answered = first_end(call for call in evidence.by_event[key] if call.status == 200 and is_same(call, row))
            asked = first_start(call for call in evidence.by_event[key] if is_same(call, row))
            steps.append(Step(max(asked, row.received_at), answered, f"event {key}", event=row))
    may_have_expired = order.status == "expired" or (
        any(row.verdict == "reacquired" for row in rows.values())
        and not any(row.verdict == "applied" and row.status == "failed" for row in rows.values()))
    if may_have_expired:
        steps.append(Step(order.due_at, inf, "expired", is_expiry=True))
    # Responses that show the order. A replay of a payment event tells the past, so it is left out.
    for call in calls:
        if call.operation == "read_order" and call.status == 200:
            steps.append(Step(call.start, call.end, f"read by client {call.client}", seen=call.answer["status"]))
        elif call.operation == "order" and call.status == 201:
            steps.append(Step(call.start, call.end, f"told to client {call.client}", seen=call.answer["status"]))
    if search(steps, order, parked):
        return []
    zero = order.created_at
    lines = [f"    {step.begin - zero:9.4f} .. {step.end - zero:9.4f}  {step.label}"
             + (f": {step.event.status} -> {step.event.verdict}, {step.event.order_status}" if step.event else "")
             + (f": {step.seen}" if step.seen is not None else "") for step in sorted(steps, key=lambda step: step.end)]
    lines += [f"    parked before: {row.key}: {row.status} -> {row.verdict}, {row.order_status}" for row in parked]
    return ["\n".join([f"what became of {order.id}, which ends as {order.status}, has no explanation "
                       f"(seconds after {zero:.4f}, when it was placed)", *lines])]


def search(steps: list[Step], order: OrderRow, parked: list[EventRow]) -> bool:
    """Depth first. A step may be next if it began before every other step that is left has ended."""
    steps = sorted(steps, key=lambda step: step.end)
    everything = (1 << len(steps)) - 1
    visited: set[tuple[int, str]] = set()
    stack = [(0, "")]
    while stack:
        done, status = stack.pop()
        if done == everything:
            if status == order.status:
                return True
            continue
        if (done, status) in visited:
            continue
        visited.add((done, status))
        limit = inf
        for at, step in enumerate(steps):
            if done >> at & 1:
                continue
            if step.begin > limit:
                continue
            limit = min(limit, step.end)
            changed = after(step, status, order, parked)
            if changed is not None:
                stack.append((done | 1 << at, changed))
    return False


def after(step: Step, status: str, order: OrderRow, parked: list[EventRow]) -> str | None:
    """The order's status after the step, None when it cannot come now. A status of "" is that of no order."""
    if step.is_placing:
        placed: str | None = "pending_payment"
        for row in parked:
            placed = apply(row, placed, order) if placed is not None else None
        return placed
    if step.is_expiry:
        return "expired" if status == "pending_payment" else None
    if step.seen is not None:
        return status if status == step.seen else None
    assert step.event is not None
    return apply(step.event, status, order) if status else None


def apply(row: EventRow, status: str, order: OrderRow) -> str | None:
    """The order's status after the event; None when its verdict is not one that the contract allows."""
    changed = following((row.status, row.amount, row.currency), (order.amount, order.currency), status).get(row.verdict)
    return changed if changed == row.order_status else None
