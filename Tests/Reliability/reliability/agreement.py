"""Whether responses about holds and orders agree with the database and with earlier responses."""

from collections import Counter
from math import inf

from .contract import keys
from .database import Database
from .evidence import Evidence, first_end, first_start, hold_status, seconds
from .history import Call, describe

TOLERANCE = 0.0006  # seconds: times are told in whole milliseconds


def check(evidence: Evidence, database: Database, hold_ttl: float, order_ttl: float) -> list[str]:
    return [
        *(line for call in evidence.calls for line in acknowledged(call, database)),
        *holds_asked_for(evidence, database),
        *made_once(evidence),
        *keys(evidence.calls, lambda id: (hold := database.holds.get(id)) and hold.customer),
        *key_rows(evidence, database),
        *(line for id in evidence.by_hold for line in one_life(id, evidence, database)),
        *times_to_live(evidence, database, hold_ttl, order_ttl),
    ]


def acknowledged(call: Call, database: Database) -> list[str]:
    """A 201 describes a row that the database has."""
    if call.status == 404:
        return [f"what was acknowledged is not found: {describe(call)}: {call.request}"]
    if call.status != 201:
        return []
    if call.operation == "hold":
        hold = database.holds.get(call.answer["hold_id"])
        if hold is None:
            return [f"an acknowledged hold is not in the database: {call.answer['hold_id']} ({describe(call)})"]
        told = (call.answer["product_id"], call.answer["quantity"])
        asked = (call.request["product_id"], call.request["quantity"])
        is_right = told == asked == (hold.product, hold.quantity) and hold.customer == call.request.get("customer_id")
        is_right = is_right and abs(seconds(call.answer["expires_at"]) - hold.expires_at) < TOLERANCE
        return [] if is_right else [f"a hold is not what was said: {call.answer} is {hold} ({describe(call)})"]
    order = database.orders.get(call.answer["order_id"])
    if order is None:
        return [f"an acknowledged order is not in the database: {call.answer['order_id']} ({describe(call)})"]
    what = tuple(call.answer[name] for name in ("product_id", "quantity", "amount", "currency"))
    is_right = (what == (order.product, order.quantity, order.amount, order.currency)
                and call.answer["hold_id"] == call.request["hold_id"] == order.id.replace("order_", "hold_")
                and order.amount == order.quantity * database.prices[order.product]
                and abs(seconds(call.answer["payment_due_at"]) - order.due_at) < TOLERANCE
                and abs(seconds(call.answer["created_at"]) - order.created_at) < 2 * TOLERANCE)
    return [] if is_right else [f"an order is not what was said: {call.answer} is {order} ({describe(call)})"]


def holds_asked_for(evidence: Evidence, database: Database) -> list[str]:
    """Each hold was requested once. A customer's name stands for one request, which is repeated only under its key."""
    violations = []
    named = Counter(hold.customer for hold in database.holds.values() if hold.customer)
    for customer, count in named.items():
        calls = [call for call in evidence.by_customer[customer] if call.may_have_acted]
        if not calls:
            violations.append(
                f"{count} holds of {customer}, who never asked, or was refused or told that nothing was done")
        elif count > (1 if calls[0].key else len(calls)):
            violations.append(f"{count} holds for one request of customer {customer}: {describe(calls[0])}")
    # Holds without a customer can only be counted.
    for product in database.stock:
        nameless = sum(1 for hold in database.holds.values() if hold.product == product and not hold.customer)
        asked = [call for call in evidence.calls if call.operation == "hold" and call.product == product
                 and not call.request.get("customer_id")]
        with_key = {call.key for call in asked if call.key and call.may_have_acted}
        possible = len(with_key) + sum(1 for call in asked if not call.key and call.may_have_acted)
        if nameless > possible:
            violations.append(
                f"{nameless} holds of product {product} without a customer; at most {possible} were asked for")
    return violations


def made_once(evidence: Evidence) -> list[str]:
    """No two calls made the same hold or order. Only a replay tells of it again."""
    made = Counter((call.operation, call.answer["hold_id"]) for call in evidence.calls
                   if call.status == 201 and not call.is_replay)
    return [f"{count} calls were told that they made {'the hold' if operation == 'hold' else 'an order of'} {id}"
            for (operation, id), count in made.items() if count > 1]


def key_rows(evidence: Evidence, database: Database) -> list[str]:
    """The database has the key of every success, with its hold, and no key of a call that was refused."""
    violations = []
    for (product, key), row in database.keys.items():
        if not any(call.may_have_acted for call in evidence.by_key[product, key]):
            violations.append(f"key {key} of product {product} is in the database, and nobody who sent it succeeded")
    for (product, key), calls in evidence.by_key.items():
        for call in calls:
            if call.status == 201:
                row = database.keys.get((product, key))
                if row is None:
                    violations.append(f"key {key} of product {product} is not in the database: {describe(call)}")
                elif row.id != call.answer["hold_id"]:
                    violations.append(f"key {key} of product {product} leads to {row.id}: {describe(call)}")
    return violations


def one_life(id: str, evidence: Evidence, database: Database) -> list[str]:
    """A hold is active, then has one other status for ever. No response contradicts that."""
    hold = database.holds.get(id)
    if hold is None:
        return []  # reported as missing where it was acknowledged
    calls = evidence.by_hold[id]
    final = "expired" if hold.status == "active" else hold.status
    told = [(call, status) for call in calls if (status := hold_status(call))]
    # Within these bounds it stopped being active.
    order = database.orders.get(hold.order_id)
    if final == "ordered":
        begin = order.created_at if order else inf
    elif final == "released":
        begin = first_start(call for call in calls if call.operation == "release")
    else:
        begin = hold.expires_at
    end = min(first_end(call for call, status in told if status == final),
              hold.expires_at if final in ("expired", "released") else inf)
    violations = []
    operation = {"ordered": "order", "released": "release"}.get(final)
    if operation and not any(call.may_have_acted for call in calls if call.operation == operation):
        violations.append(f"{id} was {final}, and whoever asked for that was refused or told that nothing was done")
    if final == "ordered" and order and order.created_at >= hold.expires_at:
        violations.append(f"{id} was ordered after its time, by {order.created_at - hold.expires_at:.4f} s")
    for call, status in told:
        # While its order is being committed, a hold past its time reads as expired.
        is_being_ordered = (final == "ordered" and status == "expired" and call.end >= hold.expires_at
                            and call.start <= end and call.operation == "read_hold")
        if status == "active":
            if call.start > end:
                violations.append(f"{id} reads active after it was {final}: {describe(call)}")
        elif status != final and not is_being_ordered:
            violations.append(f"{id} is said to be {status}, and ends as {final}: {describe(call)}")
        elif status == final and call.end < begin:
            violations.append(f"{id} is said to be {status} before it was: {describe(call)}")
    return violations


def times_to_live(evidence: Evidence, database: Database, hold_ttl: float, order_ttl: float) -> list[str]:
    """A time to live begins within the call, by the database's clock."""
    violations = [
        f"{order.id} is to be paid {order.due_at - order.created_at:.3f} s after it was placed, not {order_ttl}"
        for order in database.orders.values() if abs(order.due_at - order.created_at - order_ttl) > 2 * TOLERANCE]
    for hold in database.holds.values():
        asked = evidence.requests_of(hold)
        told = first_end(call for call in asked if call.status == 201)
        if asked and not first_start(asked) - 2 * TOLERANCE <= hold.expires_at - hold_ttl <= told:
            violations.append(f"{hold.id} lasts until {hold.expires_at:.3f}, and was asked for at "
                              f"{first_start(asked):.4f}, told at {told:.4f}")
    return violations
