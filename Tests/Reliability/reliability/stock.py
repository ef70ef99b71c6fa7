"""Each product's stock as a register: changes of it and responses that show it, each with bounds of its time."""

from collections import defaultdict
from math import inf

from .database import Database, HoldRow, OrderRow
from .evidence import Evidence, first_end, first_start, hold_status, order_status
from .linearize import Change, Look, find_contradiction

# The longest time from PostgreSQL's time of a commit until others see it: a process may be stopped, or PostgreSQL may
# crash and recover, in between. Used only where no response gives a bound.
COMMIT_TAKES = 30.0


def check(evidence: Evidence, database: Database, hold_ttl: float) -> list[str]:
    violations = []
    operations = operations_of(evidence, database, hold_ttl)
    for product, stock in sorted(database.stock.items()):
        contradiction = find_contradiction(stock, operations[product])
        if contradiction:
            violations.append(f"the stock of product {product} {contradiction}")
    return violations


def operations_of(evidence: Evidence, database: Database, hold_ttl: float) -> dict[int, list[Change | Look]]:
    operations: defaultdict[int, list[Change | Look]] = defaultdict(list)
    for hold in database.holds.values():
        operations[hold.product] += changes_of_hold(hold, evidence, database, hold_ttl)
    for order in database.orders.values():
        operations[order.product] += operations_of_order(order, evidence, database)
    for call in evidence.calls:
        if call.status == 200 and call.operation in ("product", "products"):
            for product in call.answer.get("products", [call.answer]):
                operations[product["id"]].append(Look(
                    call.start, call.end, product["available_stock"], label=f"read by client {call.client}"))
        elif call.operation == "hold" and call.problem == "insufficient-stock":
            operations[call.product].append(Look(
                call.start, call.end, call.answer["available_stock"], call.request["quantity"],
                f"{call.request['quantity']} refused to client {call.client}"))
    return operations


def changes_of_hold(hold: HoldRow, evidence: Evidence, database: Database, hold_ttl: float) -> list[Change]:
    calls = evidence.by_hold[hold.id]
    made = [call for call in calls if call.operation == "hold"]
    asked = evidence.requests_of(hold)
    # The time to live begins at some moment of the call, not always at the decision.
    begin = first_start(asked) if asked else hold.expires_at - hold_ttl - COMMIT_TAKES
    taken = Change(-hold.quantity, begin, first_end(made),
                   f"{hold.quantity} held by {f'client {made[0].client}' if made else 'someone not told'}, {hold.id}")
    if hold.status == "ordered":
        order = database.orders.get(hold.order_id)
        if order is None:
            return [taken]  # which the audit reports
        taken.end = min(taken.end, order.created_at)
        # A hold that was ordered in time may lapse while its order is being committed. Until the commit, reads count its
        # units as available. They cannot be bought while the order has the row locked.
        committed = min(first_end(call for call in evidence.by_hold[hold.id] if hold_status(call) == "ordered"),
                        order.created_at + COMMIT_TAKES)
        if committed <= hold.expires_at:
            return [taken]
        return [taken, Change(hold.quantity, hold.expires_at, committed, f"{hold.quantity} lapse while their order is "
                              f"being committed, {hold.id}", is_undone_at_end=True, is_passing=True)]
    if hold.status == "released":
        given = Change(
            hold.quantity, first_start(call for call in calls if call.operation == "release"),
            min(hold.expires_at, first_end(call for call in calls if hold_status(call) == "released")),
            f"{hold.quantity} released, {hold.id}")
        return [taken, following(taken, given)]
    # Lapsed. A hold that was committed after its time never took a unit.
    if taken.end >= hold.expires_at:
        taken.end, taken.is_undone_at_end = hold.expires_at, True
        taken.label += ", and lapsed"
        return [taken]
    return [taken, Change(hold.quantity, hold.expires_at, hold.expires_at, f"{hold.quantity} lapsed, {hold.id}")]


def operations_of_order(order: OrderRow, evidence: Evidence, database: Database) -> list[Change | Look]:
    """The units that its end gave back, that a late success took again, and that a late success did not find."""
    calls = evidence.by_order[order.id]
    events = {call.request["idempotency_key"] for call in calls if call.operation == "pay"}
    rows = [row for key in events if (row := database.events.get(key)) and row.order_id == order.id]
    failure = next((row for row in rows if row.status == "failed" and row.verdict == "applied"), None)
    again = next((row for row in rows if row.verdict == "reacquired"), None)

    def begin(received_at: float, changed_at: float) -> float:
        """Of an event's effect: when it was applied, or with its order when it had been parked."""
        return max(received_at, changed_at, order.created_at)

    operations: list[Change | Look] = []
    given = taken = None
    if failure is not None:
        given = Change(order.quantity, begin(failure.received_at, failure.changed_at), inf,
                       f"{order.quantity} given back by a failed payment, {order.id}")
    elif order.status == "expired" or again is not None:
        changed = order.changed_at if order.status == "expired" else 0.0
        given = Change(order.quantity, max(order.due_at, changed), inf,
                       f"{order.quantity} given back by expiry, {order.id}")
    if given is not None:
        operations.append(given)
        ended = ("cancelled", "expired") if again is None else ("cancelled", "expired", "paid")
        given.end = min(first_end(call for call in calls if order_status(call) in ended), given.begin + COMMIT_TAKES)
        given.end = max(given.end, given.begin)
    if again is not None and given is not None:
        taken = Change(-order.quantity, max(begin(again.received_at, again.changed_at), given.begin), inf,
                       f"{order.quantity} taken again by a late success, {order.id}")
        taken.end = min(first_end(call for call in calls if order_status(call) == "paid"), taken.begin + COMMIT_TAKES)
        taken.end = max(taken.end, taken.begin)
        operations.append(following(given, taken))
    for row in rows:
        if row.verdict == "refund_due" and row.order_status in ("cancelled", "expired"):
            answered = first_end(call for call in evidence.by_event[row.key] if call.status == 200)
            if answered < inf:
                operations.append(Look(begin(row.received_at, row.changed_at), answered, below=order.quantity,
                                       label=f"{order.quantity} could not be taken again, {order.id}"))
    return operations


def following(first: Change, second: Change) -> Change:
    """The second change, which cannot come before the first."""
    second.begin = max(second.begin, first.begin)
    second.end = max(second.end, second.begin)
    first.end = min(first.end, second.end)
    if first.end >= second.begin:
        second.after = first
    return second
