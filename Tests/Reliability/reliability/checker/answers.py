"""Whether every response was true at some moment of its call, and no earlier than the responses before it.

The log has the order of all changes, so a response is linearizable if it fits a version that was visible during its
call. A response that shows a version proves that the version was visible by then. A later response cannot show an older
one.
"""

from collections.abc import Callable, Iterator

from ..history import DID_NOTHING, REFUSALS, Call, hold_of, seconds
from .book import Book, Row
from .timeline import Stock

# How long a call may still be refused after the harness has unlocked a row or ended a backend: other calls queued for
# the row too, and connections have to be made anew.
HURTS_FOR = 4.0     # seconds
TOLERANCE = 0.0012  # seconds: times are told in whole milliseconds
NOTHING = "nothing explains it"


def check(calls: list[Call], book: Book) -> Iterator[str]:
    calls = sorted(calls, key=lambda call: call.end)
    for call in calls:
        # A response that tells of a change bounds when it was visible.
        for table, id, status in changes_told(call):
            for version in book.of(table, id).versions:
                if version.value is not None and status in (None, version.value["status"]):
                    version.by.was_seen(call.end)
                    break
    book.find_passing()
    for call in calls:
        # A call without a response is judged by its effect.
        if call.status and (why := untrue(call, book)) is not None:
            told = {name: value for name, value in call.answer.items()
                    if name not in ("type", "title", "status", "detail") or call.status < 400 and name == "status"}
            yield (f"{call.operation} was answered {call.word}: {why} ({call} to {call.end:.4f}, {call.request}, "
                   f"key {call.key}, told {told})")


def changes_told(call: Call) -> Iterator[tuple[str, str, str | None]]:
    if call.operation == "hold" and call.status == 201:
        yield "holds", call.answer["hold_id"], None
    if call.operation in ("release", "read_hold") and (status := call.hold_status) and status != "expired":
        yield "holds", call.request["hold_id"], status
    if call.operation == "order" and (call.status == 201 or call.problem == "hold-already-ordered"):
        yield "orders", call.order_id, None
    if status := call.order_status:
        yield "orders", call.order_id, status
    if call.operation == "pay" and call.status in (200, 202):
        yield "payment_events", call.request["idempotency_key"], None


def untrue(call: Call, book: Book) -> str | None:
    """Why the response cannot be true; None if it can."""
    if call.status >= 500:
        return fault(call, book)
    match call.operation, call.status:
        case "hold", 201:
            return granted(call, book)
        case "hold", _:
            return refused(call, book)
        case "order", 201:
            return placed(call, book)
        case "order", _ if call.problem in REFUSALS:
            return hold_was(call, book, call.request["hold_id"], REFUSALS[call.problem])
        case "order", _ if call.problem == "idempotency-key-reused":
            return None
        case "release", _ if call.problem in REFUSALS or call.status == 200 and call.answer["status"] == "released":
            return hold_was(call, book, call.request["hold_id"], call.hold_status or "")
        case "read_hold", 200:
            return hold_was(call, book, call.request["hold_id"], call.answer["status"])
        case "read_hold", _:
            return "the hold was there"
        case "read_order", 200 | 404:
            return order_was(call, book, call.answer["status"] if call.status == 200 else None)
        case "product", 200:
            return shows(call, book, call.answer)
        case "product", _:
            return "the product was there"
        case "products", 200:
            return next((why for shown in call.answer["products"] if (why := shows(call, book, shown))), None)
        case "pay", _:
            return pay(call, book)
        case "settle", _:
            return settle(call, book)
        case "change", 200:
            asked = {name: value and seconds(value) if name.endswith("_at") else value
                     for name, value in call.request.items() if name != "product_id"}
            is_changed = any(all(stock.product[name] == value for name, value in asked.items())
                             for stock in book.stock[call.product].made_between(call.start, call.end))
            return None if is_changed else "the product was not changed so"
        case "refund", 201:
            return None  # its effect is counted
        case "refund", 409:
            return refund_refused(call, book)
        case "restock", 200:
            return None  # its effect is counted
        case "restock", _ if call.problem == "insufficient-stock":
            return too_few(call, book, -call.request["delta"])
    return NOTHING


def fault(call: Call, book: Book) -> str | None:
    """A 503 needs a cause: a fault, a lock or an ended backend."""
    if call.status != 503 or call.problem not in {"outcome-unknown", *DID_NOTHING}:
        return "no fault explains it"
    if call.retry_after is None:
        return "it has no Retry-After"
    begin, conditions = call.start - HURTS_FOR, book.conditions
    if (conditions.has_faults or conditions.is_killed_between(begin, call.end)
            or conditions.is_locked_between(call.product, begin, call.end)):
        return None
    return f"nobody had locked a row of product {call.product}, and no backend was ended"


def granted(call: Call, book: Book) -> str | None:
    id, answer = call.answer["hold_id"], call.answer
    row = book.last_row("holds", id)
    if row is None:
        return f"an acknowledged hold is not in the database: {id}"
    asked = (call.product, call.request["quantity"])
    if ((row["product_id"], row["quantity"]) != asked or row["customer_id"] != call.request.get("customer_id")
            or (answer["product_id"], answer["quantity"]) != asked):
        return f"a hold is not what was said: {row}"
    if abs(seconds(answer["expires_at"]) - row["expires_at"]) > TOLERANCE:
        return f"a hold is not what was said: it ends at {row['expires_at']:.3f}"
    if not call.is_replay:
        made, ttls = book.times_made("holds", id), book.conditions.hold_ttls
        if not any(call.start <= time <= call.end for time in made):
            return f"it was made at {made}"
        if not call.start - TOLERANCE + min(ttls) <= row["expires_at"] <= call.end + max(ttls):
            return f"it lasts until {row['expires_at']:.4f}"
    return hold_was(call, book, id, answer["status"])


def refused(call: Call, book: Book) -> str | None:
    """A hold was."""
    def is_time(stock: Stock, name: str) -> bool:
        time = stock.product[name]
        return time is not None and abs(time - seconds(call.answer[name])) < TOLERANCE

    quantity = call.request["quantity"]
    match call.problem:
        case "insufficient-stock":
            return too_few(call, book, quantity)
        case "customer-limit-reached":
            limit = call.answer["max_per_customer"]
            most = book.most_units((call.product, call.request["customer_id"]), call.start, call.end)
            if quantity + most <= limit:
                return f"the customer had at most {most}"
            return any_stock(call, book, lambda stock, begin, end: stock.product["max_per_customer"] == limit)
        case "sale-not-started":
            return any_stock(call, book, lambda stock, begin, end: is_time(stock, "starts_at") and (
                stock.product["starts_at"] > begin - stock.slack))
        case "sale-ended":
            return any_stock(call, book, lambda stock, begin, end: is_time(stock, "ends_at") and (
                stock.product["ends_at"] <= end))
        case "validation":
            pointers = {error["pointer"] for error in call.answer["errors"]}
            if pointers == {"/quantity"}:
                return any_stock(call, book, lambda stock, begin, end: (
                    (most := stock.product["max_quantity_per_hold"]) is not None and quantity > most))
            if pointers == {"/customer_id"} and "customer_id" not in call.request:
                return any_stock(call, book, lambda stock, begin, end: stock.product["max_per_customer"] is not None)
            return "the request was valid"
    return None if call.problem == "idempotency-key-reused" else NOTHING


def any_stock(
    call: Call, book: Book, is_so: Callable[[Stock, float, float], bool], shown: int | None = None
) -> str | None:
    """Whether a stock that the call may have seen was so. A response that shows a product proves that the first such
    version was visible by the end of the call. `shown` is the id of that product."""
    seen = [each for each in book.stock[shown or call.product].seen(call.start, call.end) if each[0] is not None]
    for version, begin, end in seen:
        if is_so(version.value, begin, end):
            # Only changes of the product's row become visible in the order of their commits.
            if shown and any(change.table == "products" for change in version.by.changes):
                version.by.was_seen(call.end)
            return None
    return f"it was never so ({'; '.join(version.value.told(begin, end) for version, begin, end in seen[-4:])})"


def too_few(call: Call, book: Book, wanted: int) -> str | None:
    available = call.answer["available_stock"]
    if available >= wanted:
        return f"{available} are enough"
    time = call.answer["next_release_at"]
    if (time is None) != (call.retry_after is None):
        return f"Retry-After is {call.retry_after}"
    # An order does not lock the product's row. So an order may commit between a batch's read and the batch's commit, as
    # if it came afterwards. Other sessions never see the state that the batch saw, so each value is judged by itself.
    return (
        any_stock(call, book, lambda stock, begin, end: available in stock.available(begin, end))
        or any_stock(call, book, lambda stock, begin, end: (
            call.answer["held_stock"] == stock.product["total_stock"] - stock.holdings.ordered - available))
        or any_stock(call, book, lambda stock, begin, end: stock.is_next_release(time and seconds(time), end)))


def hold_was(call: Call, book: Book, id: str, status: str) -> str | None:
    """Whether the hold had this status at some moment of the call. Past its time an active hold reads as expired."""
    seen, slack = book.seen("holds", id, call), book.conditions.snapshot_takes
    for row, begin, end in seen:
        if row is None:
            continue
        could_be = {row["status"]}
        if row["status"] == "active":
            could_be = {"active"} if begin - slack < row["expires_at"] else set()
            could_be |= {"expired"} if end + slack >= row["expires_at"] else set()
        if status in could_be:
            return None
    return f"{id} was {', then '.join(str(row and row['status']) for row, _, _ in seen)}" + "".join(
        f", until {row['expires_at']:.4f}" for row, _, _ in seen[:1] if row)


def placed(call: Call, book: Book) -> str | None:
    id, answer = call.order_id, call.answer
    row = book.last_row("orders", id)
    if row is None or answer["order_id"] != id:
        return f"an acknowledged order is not in the database: {answer['order_id']}"
    if (any(answer[name] != row[name] for name in ("product_id", "quantity", "amount", "currency"))
            or answer["hold_id"] != hold_of(id)
            or any(abs(seconds(answer[name]) - row[name]) > TOLERANCE for name in ("payment_due_at", "created_at"))):
        return f"an order is not what was said: {row}"
    made = book.times_made("orders", id)
    if not call.is_replay and not any(call.start <= time <= call.end for time in made):
        return f"it was placed at {made}"
    return order_was(call, book, answer["status"])


def order_was(call: Call, book: Book, status: str | None) -> str | None:
    seen = [row and row["status"] for row, _, _ in book.seen("orders", call.order_id, call)]
    return None if status in seen else f"the order was {', then '.join(map(str, seen))}"


def shows(call: Call, book: Book, shown: Row) -> str | None:
    names = ("total_stock", "max_quantity_per_hold", "max_per_customer")
    return any_stock(call, book, lambda stock, begin, end: (
        all(shown[name] == stock.product[name] for name in names)
        and shown["available_stock"] in stock.available(begin, end)
        and shown["status"] in stock.statuses(shown["available_stock"], begin, end)), shown["id"])


def pay(call: Call, book: Book) -> str | None:
    request, answer, key = call.request, call.answer, call.request["idempotency_key"]
    seen = [row for row, _, _ in book.seen("payment_events", key, call)]
    same = [row for row in seen if row is not None and (
        (request["order_id"], request["status"], request.get("amount"), request.get("currency"))
        == (row["order_id"], row["status"], row["amount"], row["currency"]))]
    if call.problem == "idempotency-key-reused":
        is_reused = len(same) < len(seen) - seen.count(None)
        return None if is_reused else "there is no other event under the key"
    if call.status not in (200, 202):
        return NOTHING
    verdict, status = answer["verdict"], answer.get("order_status")
    if (call.status == 202) != (verdict == "parked"):
        return "the status and the verdict differ"
    # A parked failure is removed after its time. Then it may be recorded for the first time again.
    made = book.times_made("payment_events", key)
    if not made or request["status"] == "success" and book.last_row("payment_events", key) is None:
        return f"an acknowledged payment event is not in the database: {key}"
    if (verdict, status) not in [(row["verdict"], row["order_status"]) for row in same]:
        return f"the event was {', then '.join(str(row and (row['verdict'], row['order_status'])) for row in seen)}"
    if not call.is_replay and not any(call.start <= time <= call.end for time in made):
        return f"it was recorded at {made}"
    return None


def refund_refused(call: Call, book: Book) -> str | None:
    seen = [(row["status"], row["amount"] - row["refunded_amount"], row["is_restocked"])
            for row, _, _ in book.seen("orders", call.order_id, call) if row is not None]
    if call.problem == "order-not-paid":
        status = call.answer["order_status"]
        is_so = status not in ("paid", "refunded") and any(status == was for was, _, _ in seen)
    else:
        left = call.answer["refundable_amount"]
        asked, is_restock = call.request.get("amount"), call.request["restock"]
        is_so = call.problem == "refund-too-large" and any(
            left == was_left and (asked > left if asked else left == 0 and (is_restocked or not is_restock))
            for _, was_left, is_restocked in seen)
    return None if is_so else f"the order was {', then '.join(map(str, seen))}"


def settle(call: Call, book: Book) -> str | None:
    def is_owed(row: Row) -> bool:
        """Whether the event's money has to be refunded, or may be."""
        return row["verdict"] == "refund_due" or (
            row["status"] == "success" and row["verdict"] in ("amount_mismatch", "parked"))

    seen = [row for row, _, _ in book.seen("payment_events", call.request["idempotency_key"], call)]
    if call.status == 200:
        is_so = any(row is not None and row["settled_at"] is not None for row in seen)
    elif call.status == 404:
        is_so = None in seen
    else:
        is_so = call.problem == "refund-not-due" and any(row is not None and not is_owed(row) for row in seen)
    return None if is_so else f"the event was {', then '.join(str(row and row['verdict']) for row in seen)}"
