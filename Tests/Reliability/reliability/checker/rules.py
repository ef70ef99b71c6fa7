"""What a transaction may do to products, holds and orders."""

from collections.abc import Iterator

from ..history import hold_of, order_of
from .book import Book, Row, Step
from .timeline import ROUNDED

# From reading the clock to changing the product's row; a process may lose the CPU in between.
DECIDES_WITHIN = 0.3    # seconds


def check(book: Book, step: Step) -> Iterator[str]:
    for product in step.products:
        if row := book.rows["products"].get(str(product)):
            total, available, shelf = row["total_stock"], row["available_stock"], book.shelves[product]
            if total != available + shelf.held + shelf.ordered or not 0 <= available <= total:
                yield (f"stock of product {product} is not conserved: {total} in all, {available} available, "
                       f"{shelf.held} held, {shelf.ordered} ordered")
    granted: list[Row] = []
    for (table, id), before in step.before.items():
        row = book.rows[table].get(id)
        if table not in ("holds", "orders"):
            continue
        if row is None:
            yield f"{id} is gone"
        elif table == "orders":
            yield from order_changed(book, step, id, before, row) if before else order_placed(book, step, id, row)
        elif before is not None:
            yield from hold_changed(book, step, id, before, row)
        elif row["status"] == "active":
            granted.append(row)
        elif row["status"] != "released":  # released at once: its number was only taken
            yield f"{id} began as {row['status']}"
            granted.append(row)
    for product in {hold["product_id"] for hold in granted}:
        yield from grants(book, step, product, [hold for hold in granted if hold["product_id"] == product])


def grants(book: Book, step: Step, product: int, holds: list[Row]) -> Iterator[str]:
    id, row = str(product), book.rows["products"][str(product)]
    changed, committed = step.first("products", id), step.by.committed
    if changed is None:
        yield f"{len(holds)} holds of product {product} were granted, and its stock was left as it was"
        return
    free = locked_after(book, step, "products", id)
    decided = max(free, changed - DECIDES_WITHIN - book.conditions.stalled(step.by.began, changed))
    if row["starts_at"] is not None and changed < row["starts_at"]:
        yield f"{holds[0]['id']} was granted {row['starts_at'] - changed:.3f} s before the sale starts"
    if row["ends_at"] is not None and row["ends_at"] < decided:
        yield (f"{holds[0]['id']} was granted {changed - row['ends_at']:.3f} s after the sale had ended; "
               f"others had the row until {free - row['ends_at']:.3f} s after")
    most, ttl = row["max_quantity_per_hold"], min(book.conditions.hold_ttls)
    # How long before the lock on the product's row a hold may begin: the function clock_tolerance, and a bit.
    begins = decided - min(max(ttl / 100, 0.02), 0.25) - 0.03
    for hold in holds:
        if most is not None and hold["quantity"] > most:
            yield f"{hold['id']} has {hold['quantity']} units, and max_quantity_per_hold was {most} by then"
        if row["max_per_customer"] is not None and hold["customer_id"] is None:
            yield f"{hold['id']} names no customer, and there is a limit per customer"
        if hold["expires_at"] < begins + ttl - ROUNDED:
            yield (f"{hold['id']} lasts for {hold['expires_at'] - committed:.3f} s from its commit, not for {ttl}; it "
                   f"may begin {committed - begins:.3f} s before")
        if hold["expires_at"] > committed + max(book.conditions.hold_ttls):
            yield f"{hold['id']} lasts for longer than any hold"
    yield from within_limit(book, step, product, {hold["customer_id"] for hold in holds}, "a hold")


def within_limit(book: Book, step: Step, product: int, customers: set[str | None], by: str) -> Iterator[str]:
    """Checks customers who got units. A limit that is lowered later takes nothing away."""
    limit = book.rows["products"][str(product)]["max_per_customer"]
    for customer in customers:
        if customer is not None and limit is not None:
            units = book.customers[product, customer].holdings().units(step.by.committed)
            book.grants[product, customer].append((step.by.committed, limit, units))
            if units > limit:
                yield (f"customer {customer} has {units} units of product {product} through {by}, above the limit of "
                       f"{limit}")


def hold_changed(book: Book, step: Step, id: str, before: Row, row: Row) -> Iterator[str]:
    if any(before[name] != row[name] for name in ("quantity", "customer_id", "expires_at")):
        yield f"{id} is another hold than before: {row}"
        return
    match before["status"], row["status"]:
        case "active", "expired":
            if (early := row["expires_at"] - (step.first("holds", id) or 0.0)) > 0:
                yield f"{id} was expired {early:.4f} s before its time"
        case "active", "released":
            if (late := locked_after(book, step, "holds", id) - row["expires_at"]) >= 0:
                yield f"{id} was released after its time: others had its row until {late:.3f} s after"
        case "active", "ordered":
            order = book.rows["orders"].get(order_of(id))
            if order is None or order["quantity"] != row["quantity"]:
                yield f"{id} is ordered, without its order"
        case was, now if was != now:
            yield f"{id} was {was}, then {now}"


def order_changed(book: Book, step: Step, id: str, before: Row, row: Row) -> Iterator[str]:
    if any(before[name] != row[name] for name in ("quantity", "amount", "currency", "payment_due_at", "created_at")):
        yield f"{id} is another order than before: {row}"
    was, money, amount = before["refunded_amount"], row["refunded_amount"], row["amount"]
    if before["status"] not in ("paid", "refunded") and money != was or not was <= money <= amount:
        yield f"{id}, of {amount} and {before['status']}, had {was} refunded, and then {money}"
    if (row["status"] == "refunded") != (money == amount):
        yield f"{id} is {row['status']}, and {money} of {amount} are refunded"
    if row["is_restocked"] < before["is_restocked"] or row["is_restocked"] and row["status"] != "refunded":
        yield f"{id} is {row['status']}, and its units are {'' if row['is_restocked'] else 'no longer '}restocked"


def order_placed(book: Book, step: Step, id: str, row: Row) -> Iterator[str]:
    hold, created = step.before.get(("holds", hold_of(id))), row["created_at"]
    if hold is None:
        yield f"{id} was placed, and its hold was left as it was"
        return
    if hold["status"] != "active":
        yield f"{id} was placed from a hold that is {hold['status']}"
    if created >= hold["expires_at"]:
        yield f"{id} was placed {created - hold['expires_at']:.4f} s after its hold's time"
    if created < (free := locked_after(book, step, "holds", hold_of(id))):
        yield f"{id} was placed at a time {free - created:.4f} s before the hold's row could be had"
    # A hold that expires while its order is being committed still counts for its customer.
    product, customer = hold["product_id"], hold["customer_id"]
    for committed, limit, units in book.grants.get((product, customer), ()):
        if hold["expires_at"] <= committed < step.by.committed and units + hold["quantity"] > limit:
            yield (f"customer {customer} had {units} units of product {product} at {committed:.4f}, and "
                   f"{hold['quantity']} more in {hold['id']} that was being ordered, above the limit of {limit}")
    ttl = row["payment_due_at"] - created
    if not any(-ROUNDED < known - ttl < ROUNDED for known in book.conditions.order_ttls):
        yield f"{id} has to be paid within {ttl:.3f} s"
    if row["amount"] != row["quantity"] * book.rows["products"][str(row["product_id"])]["price"]:
        yield f"{id} costs {row['amount']} for {row['quantity']} units"


def locked_after(book: Book, step: Step, table: str, id: str) -> float:
    """Until then another session had the row locked, so the transaction locked it later."""
    return max(step.free_since.get((table, id), 0.0), book.conditions.released_before(table, id, step.by.committed))
