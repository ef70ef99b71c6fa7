"""Whether every response was true at some moment of its call."""

from collections.abc import Callable, Iterable, Iterator

from ..agreement import TOLERANCE
from ..evidence import REFUSALS, hold_status, order_status, seconds
from ..history import Call, describe
from .book import Book, Row
from .conditions import Conditions
from .timeline import SNAPSHOT_TAKES, Stock

# How long a call may still be refused after the harness has unlocked a row or ended a backend: other calls queued for the
# row too, and connections have to be made anew.
HURTS_FOR = 4.0  # seconds


def check(calls: list[Call], book: Book, conditions: Conditions) -> list[str]:
    for call in calls:
        learn(call, book)
    judges: dict[str, Callable[[Call, Book], str | None]] = {
        "hold": hold, "order": order, "pay": pay, "release": release, "product": product, "read_hold": read_hold,
        "read_order": read_order, "settle": settle, "change": change, "restock": restock}
    violations = []
    for call in calls:
        if call.status == 0:
            continue  # judged as calls without an answer
        if call.status >= 500:
            why = fault(call, conditions)
        else:
            why = judges[call.operation](call, book)
        if why is not None:
            violations.append(f"{call.operation} was answered {call.word}: {why} ({describe(call)} to {call.end:.4f}, "
                              f"{call.request}, key {call.key}, told {told_of(call)})")
    return violations


def told_of(call: Call) -> dict[str, object]:
    return {name: value for name, value in call.answer.items() if name not in ("type", "title", "status", "detail")
            or call.status < 400 and name == "status"}


def learn(call: Call, book: Book) -> None:
    """A response that tells of a change bounds when it was visible."""
    for table, id, status in told(call):
        for version in book.of(table, id).versions:
            if version.value is not None and (status is None or version.value["status"] == status):
                version.by.was_seen(call.end)
                break


def told(call: Call) -> Iterator[tuple[str, str, str | None]]:
    if call.operation == "hold" and call.status == 201:
        yield "holds", call.answer["hold_id"], None
    if call.operation in ("release", "read_hold") and (status := hold_status(call)) and status != "expired":
        yield "holds", call.request["hold_id"], status
    if call.operation == "order" and (call.status == 201 or call.problem == "hold-already-ordered"):
        yield "orders", call.request["hold_id"].replace("hold_", "order_"), None
    if status := order_status(call):
        yield "orders", (call.answer if call.operation == "order" else call.request)["order_id"], status
    if call.operation == "pay" and call.status in (200, 202):
        yield "payment_events", call.request["idempotency_key"], None


def fault(call: Call, conditions: Conditions) -> str | None:
    """A 503 needs a cause: a lock or an ended backend."""
    if call.status != 503:
        return "no fault explains it"
    if call.retry_after is None:
        return "it has no Retry-After"
    begin = call.start - HURTS_FOR
    if conditions.is_killed_between(begin, call.end) or conditions.is_locked_between(call.product, begin, call.end):
        return None
    return f"nobody had locked a row of product {call.product}, and no backend was ended"


def hold(call: Call, book: Book) -> str | None:
    if call.status == 201:
        id = call.answer["hold_id"]
        row = last_row(book, "holds", id)
        if row is None:
            return "there is no such hold"
        asked = (call.product, call.request["quantity"], call.request.get("customer_id"))
        if (row["product_id"], row["quantity"], row["customer_id"]) != asked or call.answer["quantity"] != asked[1]:
            return f"the hold is another: {row}"
        if abs(seconds(call.answer["expires_at"]) - row["expires_at"]) > TOLERANCE:
            return f"the hold ends at {row['expires_at']:.3f}"
        if not call.is_replay and not any(call.start <= time <= call.end for time in book.times_made("holds", id)):
            return f"it was made at {book.times_made('holds', id)}"
        return hold_was(call, book, id, call.answer["status"])
    if call.problem == "insufficient-stock":
        return too_few(call, book, call.request["quantity"])
    if call.problem == "customer-limit-reached":
        return limit_was_reached(call, book)
    if call.problem == "sale-not-started":
        return any_stock(call, book, lambda stock, begin, end: is_time(stock, "starts_at", call) and (
            stock.product["starts_at"] > begin - SNAPSHOT_TAKES))
    if call.problem == "sale-ended":
        return any_stock(call, book, lambda stock, begin, end: is_time(stock, "ends_at", call) and (
            stock.product["ends_at"] <= end))
    if call.problem == "validation":
        return was_invalid(call, book)
    return None if call.problem == "idempotency-key-reused" else "nothing explains it"


def is_time(stock: Stock, name: str, call: Call) -> bool:
    time = stock.product[name]
    return time is not None and abs(time - seconds(call.answer[name])) < TOLERANCE


def any_stock(call: Call, book: Book, is_so: Callable[[Stock, float, float], bool]) -> str | None:
    seen = [(stock, begin, end) for stock, begin, end in book.stock[call.product].seen(call.start, call.end)
            if stock is not None]
    if any(is_so(*each) for each in seen):
        return None
    return f"it was never so ({'; '.join(stock.told(begin, end) for stock, begin, end in seen[-4:])})"


def too_few(call: Call, book: Book, wanted: int) -> str | None:
    available = call.answer["available_stock"]
    if available >= wanted:
        return f"{available} are enough"
    time = call.answer["next_release_at"]
    if (time is None) != (call.retry_after is None):
        return f"Retry-After is {call.retry_after}"
    # An order does not lock the product's row. So an order may commit between a batch's read and the batch's commit, as if it
    # came afterwards. Other sessions never see the state that the batch saw, so each value is judged by itself.
    return (
        any_stock(call, book, lambda stock, begin, end: available in stock.available(begin, end))
        or any_stock(call, book, lambda stock, begin, end: (
            call.answer["held_stock"] == stock.product["total_stock"] - stock.ordered - available))
        or any_stock(call, book, lambda stock, begin, end: stock.is_next_release(time and seconds(time), end)))


def limit_was_reached(call: Call, book: Book) -> str | None:
    quantity, limit = call.request["quantity"], call.answer["max_per_customer"]
    holdings = list(book.holdings_of(call.product, call.request["customer_id"]).seen(call.start, call.end))
    most = max((each.units(begin - SNAPSHOT_TAKES) for each, begin, _ in holdings if each is not None), default=0)
    if quantity + most <= limit:
        return f"the customer had at most {most}"
    return any_stock(call, book, lambda stock, begin, end: stock.product["max_per_customer"] == limit)


def was_invalid(call: Call, book: Book) -> str | None:
    pointers = {error["pointer"] for error in call.answer["errors"]}
    if pointers == {"/quantity"}:
        return any_stock(call, book, lambda stock, begin, end: (
            stock.product["max_quantity_per_hold"] is not None
            and call.request["quantity"] > stock.product["max_quantity_per_hold"]))
    if pointers == {"/customer_id"} and "customer_id" not in call.request:
        return any_stock(call, book, lambda stock, begin, end: stock.product["max_per_customer"] is not None)
    return "the request was valid"


def last_row(book: Book, table: str, id: str) -> Row | None:
    versions = book.of(table, id).versions
    return versions[-1].value if versions else None


def hold_was(call: Call, book: Book, id: str, status: str) -> str | None:
    """Whether the hold had this status at some moment of the call. Past its time an active hold reads as expired."""
    seen = list(book.of("holds", id).seen(call.start, call.end))
    for row, begin, end in seen:
        if row is None:
            continue
        stands = row["status"]
        if stands == "active":
            could_be = {"active"} if begin - SNAPSHOT_TAKES < row["expires_at"] else set()
            could_be |= {"expired"} if end + SNAPSHOT_TAKES >= row["expires_at"] else set()
        else:
            could_be = {stands}
        if status in could_be:
            return None
    return f"the hold was {', then '.join(str(row and row['status']) for row, _, _ in seen)}" + "".join(
        f", until {row['expires_at']:.4f}" for row, _, _ in seen[:1] if row)


def read_hold(call: Call, book: Book) -> str | None:
    if call.status != 200:
        return "the hold was there"
    return hold_was(call, book, call.request["hold_id"], call.answer["status"])


def release(call: Call, book: Book) -> str | None:
    if call.status == 200 and call.answer["status"] == "released" or call.problem in REFUSALS:
        return hold_was(call, book, call.request["hold_id"], hold_status(call) or "")
    return "nothing explains it"


def order(call: Call, book: Book) -> str | None:
    id = call.request["hold_id"].replace("hold_", "order_")
    if call.status == 201:
        row = last_row(book, "orders", id)
        if row is None or call.answer["order_id"] != id:
            return "there is no such order"
        what = ("quantity", "amount", "currency")
        if any(call.answer[name] != row[name] for name in what) or abs(
                seconds(call.answer["payment_due_at"]) - row["payment_due_at"]) > TOLERANCE:
            return f"the order is another: {row}"
        if not call.is_replay and not any(call.start <= time <= call.end for time in book.times_made("orders", id)):
            return f"it was placed at {book.times_made('orders', id)}"
        return order_was(call, book, id, call.answer["status"])
    if call.problem in REFUSALS:
        return hold_was(call, book, call.request["hold_id"], REFUSALS[call.problem])
    return None if call.problem == "idempotency-key-reused" else "nothing explains it"


def order_was(call: Call, book: Book, id: str, status: str | None) -> str | None:
    seen = [row and row["status"] for row, _, _ in book.of("orders", id).seen(call.start, call.end)]
    return None if status in seen else f"the order was {', then '.join(map(str, seen))}"


def read_order(call: Call, book: Book) -> str | None:
    if call.status not in (200, 404):
        return "nothing explains it"
    return order_was(call, book, call.request["order_id"], call.answer["status"] if call.status == 200 else None)


def product(call: Call, book: Book) -> str | None:
    if call.status != 200:
        return "the product was there"
    return any_stock(call, book, lambda stock, begin, end: is_shown(call, stock, begin, end))


def is_shown(call: Call, stock: Stock, begin: float, end: float) -> bool:
    names = ("total_stock", "max_quantity_per_hold", "max_per_customer")
    return (all(call.answer[name] == stock.product[name] for name in names)
            and call.answer["available_stock"] in stock.available(begin, end)
            and call.answer["status"] in stock.statuses(call.answer["available_stock"], begin, end))


def change(call: Call, book: Book) -> str | None:
    if call.status != 200:
        return "nothing explains it"
    asked = {name: value and seconds(value) if name.endswith("_at") else value
             for name, value in call.request.items() if name != "product_id"}
    is_changed = any(all(stock.product[name] == value for name, value in asked.items())
                     for stock in book.stock[call.product].made_between(call.start, call.end))
    return None if is_changed else "the product was not changed so"


def restock(call: Call, book: Book) -> str | None:
    delta = call.request["delta"]
    if call.status == 200:
        return None  # its effect is counted
    return too_few(call, book, -delta) if call.problem == "insufficient-stock" else "nothing explains it"


def events(call: Call, book: Book) -> Iterable[Row | None]:
    return (row for row, _, _ in book.of("payment_events", call.request["idempotency_key"]).seen(call.start, call.end))


def is_same_event(call: Call, row: Row) -> bool:
    request = call.request
    return ((request["order_id"], request["status"], request.get("amount"), request.get("currency"))
            == (row["order_id"], row["status"], row["amount"], row["currency"]))


def pay(call: Call, book: Book) -> str | None:
    key = call.request["idempotency_key"]
    seen = list(events(call, book))
    rows = [row for row in seen if row is not None]
    if call.problem == "idempotency-key-reused":
        return None if any(not is_same_event(call, row) for row in rows) else "there is no other event under the key"
    if call.status not in (200, 202):
        return "nothing explains it"
    verdict, status = call.answer["verdict"], call.answer.get("order_status")
    if (call.status == 202) != (verdict == "parked"):
        return "the status and the verdict differ"
    if not any(is_same_event(call, row) and (row["verdict"], row["order_status"]) == (verdict, status) for row in rows):
        return f"the event was {', then '.join(str(row and (row['verdict'], row['order_status'])) for row in seen)}"
    # A parked failure is removed after its time. Then it may be recorded for the first time again.
    made = book.times_made("payment_events", key)
    if not call.is_replay and not any(call.start <= time <= call.end for time in made):
        return f"it was recorded at {made}"
    if call.request["status"] == "success" and last_row(book, "payment_events", key) is None:
        return "the event is gone"
    return None


def settle(call: Call, book: Book) -> str | None:
    seen = list(events(call, book))
    if call.status == 200:
        is_so = any(row is not None and row["settled_at"] is not None for row in seen)
    elif call.status == 404:
        is_so = None in seen
    else:
        is_so = call.problem == "refund-not-due" and any(
            row is not None and not is_owed(row) for row in seen)
    return None if is_so else f"the event was {', then '.join(str(row and row['verdict']) for row in seen)}"


def is_owed(row: Row) -> bool:
    """Whether the event's money has to be refunded, or may be."""
    return row["verdict"] == "refund_due" or (row["status"] == "success" and row["verdict"] in ("amount_mismatch", "parked"))
