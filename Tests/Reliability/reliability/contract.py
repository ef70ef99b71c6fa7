"""What the contract says of payment events and idempotency keys, for both checkers."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from .history import Call, describe


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


def keys(calls: Iterable[Call], customer_of: Callable[[str], str | None]) -> list[str]:
    """Under one key of a customer there is one request, and one thing that it made. Each product and each customer has
    keys of its own; an order's customer is its hold's, which `customer_of` tells by the hold's id."""
    by_key: defaultdict[tuple[int, str | None, str], list[Call]] = defaultdict(list)
    violations = []
    for call in calls:
        if call.operation in ("hold", "order") and (name := key_name(call, customer_of)):
            by_key[name].append(call)
        elif call.operation in ("hold", "order") and call.is_replay:
            violations.append(f"a replay without a key: {describe(call)}")
    for (product, customer, key), same in by_key.items():
        made = {call.answer["hold_id"] for call in same if call.status == 201}
        asked = {str(sorted(call.request.items())) for call in same if call.status == 201}
        fresh = sum(1 for call in same if call.status == 201 and not call.is_replay)
        what = f"key {key} of product {product}, customer {customer}"
        if len(made) > 1 or len(asked) > 1:
            violations.append(f"{what} stands for {len(made)} things: {sorted(made)}")
        if fresh > 1:
            violations.append(f"{what}: {fresh} calls were told that they were the first")
        for call in same:
            others = [other for other in same if other is not call and other.start < call.end and other.may_have_acted]
            if call.is_replay and not any(other.request == call.request for other in others):
                violations.append(f"{what}: a replay of what nobody had asked before: {describe(call)}")
            if call.problem == "idempotency-key-reused" and not any(other.request != call.request for other in others):
                violations.append(f"{what} was refused as that of another request, and this customer made none: "
                                  f"{describe(call)}, {call.request}")
    return violations


def key_name(call: Call, customer_of: Callable[[str], str | None]) -> tuple[int, str | None, str] | None:
    """What a key stands for; None for a call without one."""
    if call.key is None:
        return None
    customer = customer_of(call.request["hold_id"]) if call.operation == "order" else call.request.get("customer_id")
    return call.product, customer, call.key
