"""The calls of a history by hold, order, payment event, key and customer."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from math import inf

from .database import HoldRow
from .history import Call


class Evidence:
    def __init__(self, calls: Iterable[Call]) -> None:
        self.calls = sorted(calls, key=lambda call: call.end)
        self.by_hold: defaultdict[str, list[Call]] = defaultdict(list)    # made, ordered, released or read
        self.by_order: defaultdict[str, list[Call]] = defaultdict(list)   # placed, paid or read
        self.by_event: defaultdict[str, list[Call]] = defaultdict(list)
        self.by_key: defaultdict[tuple[int, str], list[Call]] = defaultdict(list)
        self.by_customer: defaultdict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            if call.operation == "pay":
                self.by_event[call.request["idempotency_key"]].append(call)
                self.by_order[call.request["order_id"]].append(call)
            elif call.operation == "read_order":
                self.by_order[call.request["order_id"]].append(call)
            elif call.operation == "hold":
                if call.status == 201:
                    self.by_hold[call.answer["hold_id"]].append(call)
                if customer := call.request.get("customer_id"):
                    self.by_customer[customer].append(call)
            elif "hold_id" in call.request:
                self.by_hold[call.request["hold_id"]].append(call)
                if call.operation == "order":
                    self.by_order[call.request["hold_id"].replace("hold_", "order_")].append(call)
            if call.key:
                self.by_key[call.product, call.key].append(call)

    def requests_of(self, hold: HoldRow) -> list[Call]:
        """The calls that may have made the hold: of its customer, and under its key."""
        made = [call for call in self.by_hold.get(hold.id, ()) if call.operation == "hold"]
        keys = {(call.product, call.key) for call in made if call.key}
        return [*made, *self.by_customer.get(hold.customer or "", ()),
                *(call for key in keys for call in self.by_key[key] if call.operation == "hold")]


# What a refusal says of the hold.
REFUSALS = {"hold-already-ordered": "ordered", "hold-expired": "expired", "hold-released": "released"}


def hold_status(call: Call) -> str | None:
    """The status of its hold that an answer tells."""
    if call.status in (200, 201) and call.operation in ("hold", "read_hold", "release"):
        return str(call.answer["status"])
    if call.operation == "order" and call.status == 201:
        return "ordered"
    if call.status == 409:
        return REFUSALS.get(call.problem)
    return None


def order_status(call: Call) -> str | None:
    """The status of its order that an answer tells."""
    if call.operation == "pay" and call.status == 200:
        return str(call.answer["order_status"])
    if call.operation in ("order", "read_order") and call.status in (200, 201):
        return str(call.answer["status"])
    return None


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def first_end(calls: Iterable[Call]) -> float:
    return min((call.end for call in calls), default=inf)


def first_start(calls: Iterable[Call]) -> float:
    """When the first of the calls that may have taken effect began."""
    return min((call.start for call in calls if call.may_have_acted), default=-inf)
