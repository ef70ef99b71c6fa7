"""What a transaction may do to products, holds and orders."""

from ..history import hold_of, order_of
from .book import Book, Row, Step
from .timeline import ROUNDED

# From reading the clock to changing the product's row; a process may lose the CPU in between.
DECIDES_WITHIN = 0.3    # seconds


def check(book: Book, step: Step) -> list[str]:
    violations = [line for product in step.products for line in conserved(book, product)]
    granted: list[Row] = []
    for (table, id), before in step.before.items():
        row = book.rows[table].get(id)
        if table == "holds":
            violations += hold_changed(book, step, id, before, row)
            if before is None and row is not None and row["status"] != "released":
                granted.append(row)
        elif table == "orders":
            violations += order_changed(book, step, id, before, row)
    return violations + grants(book, step, granted)


def conserved(book: Book, product: int) -> list[str]:
    row, shelf = book.rows["products"].get(str(product)), book.shelves[product]
    if row is None:
        return []
    total, available, held, ordered = row["total_stock"], row["available_stock"], shelf.held, shelf.ordered
    if total == available + held + ordered and 0 <= available <= total:
        return []
    return [f"stock of product {product} is not conserved: {total} in all, {available} available, {held} held, "
            f"{ordered} ordered"]


def grants(book: Book, step: Step, granted: list[Row]) -> list[str]:
    violations = []
    for product in {hold["product_id"] for hold in granted}:
        id, row = str(product), book.rows["products"][str(product)]
        holds = [hold for hold in granted if hold["product_id"] == product]
        changed = step.first("products", id)
        if changed is None:
            violations.append(f"{len(holds)} holds of product {product} were granted, and its stock was left as it was")
            continue
        free = locked_after(book, step, "products", id)
        decided = max(free, changed - DECIDES_WITHIN - book.conditions.stalled(step.by.began, changed))
        if row["starts_at"] is not None and changed < row["starts_at"]:
            violations.append(f"{holds[0]['id']} was granted {row['starts_at'] - changed:.3f} s before the sale starts")
        if row["ends_at"] is not None and row["ends_at"] < decided:
            violations.append(f"{holds[0]['id']} was granted {changed - row['ends_at']:.3f} s after the sale had ended; "
                              f"others had the row until {free - row['ends_at']:.3f} s after")
        for hold in holds:
            violations += granted_as_allowed(hold, row, decided, book, step)
        if row["max_per_customer"] is not None:
            violations += within_limit(book, step, product, {hold["customer_id"] for hold in holds}, "a hold")
    return violations


def begins_within(ttl: float) -> float:
    """How long before the lock on the product's row a hold may begin: the function clock_tolerance, and a bit."""
    return min(max(ttl / 100, 0.02), 0.25) + 0.03


def granted_as_allowed(hold: Row, product: Row, decided: float, book: Book, step: Step) -> list[str]:
    id, most = hold["id"], product["max_quantity_per_hold"]
    violations = []
    if most is not None and hold["quantity"] > most:
        violations.append(f"{id} has {hold['quantity']} units, and max_quantity_per_hold was {most} by then")
    if product["max_per_customer"] is not None and hold["customer_id"] is None:
        violations.append(f"{id} names no customer, and there is a limit per customer")
    ttl, committed = min(book.conditions.hold_ttls), step.by.committed
    begins = decided - begins_within(ttl)
    if hold["expires_at"] < begins + ttl - ROUNDED:
        violations.append(f"{id} lasts for {hold['expires_at'] - committed:.3f} s from its commit, not for {ttl}; it may "
                          f"begin {committed - begins:.3f} s before")
    if hold["expires_at"] > committed + max(book.conditions.hold_ttls):
        violations.append(f"{id} lasts for longer than any hold")
    return violations


def within_limit(book: Book, step: Step, product: int, customers: set[str | None], by: str) -> list[str]:
    """Checks customers who got units. A limit that is lowered later takes nothing away."""
    limit = book.rows["products"][str(product)]["max_per_customer"]
    violations = []
    for customer in customers:
        if customer is not None and limit is not None:
            units = book.units_of(product, customer, step.by.committed)
            book.grants[product, customer].append((step.by.committed, limit, units))
            if units > limit:
                violations.append(f"customer {customer} has {units} units of product {product} through {by}, above the "
                                  f"limit of {limit}")
    return violations


def hold_changed(book: Book, step: Step, id: str, before: Row | None, row: Row | None) -> list[str]:
    if row is None:
        return [f"{id} is gone"]
    if before is None:
        return [] if row["status"] in ("active", "released") else [f"{id} began as {row['status']}"]
    change = (before["status"], row["status"])
    free = locked_after(book, step, "holds", id)
    if any(before[name] != row[name] for name in ("quantity", "customer_id", "expires_at")):
        return [f"{id} is another hold than before: {row}"]
    if change == ("active", "expired"):
        at = step.first("holds", id) or 0.0
        return [f"{id} was expired {row['expires_at'] - at:.4f} s before its time"] if at < row["expires_at"] else []
    if change == ("active", "released"):
        if free >= row["expires_at"]:
            return [f"{id} was released after its time: others had its row until {free - row['expires_at']:.3f} s after"]
        return []
    if change == ("active", "ordered"):
        order = book.rows["orders"].get(order_of(id))
        return [] if order is not None and order["quantity"] == row["quantity"] else [f"{id} is ordered, without its order"]
    return [] if change[0] == change[1] else [f"{id} was {change[0]}, then {change[1]}"]


def order_changed(book: Book, step: Step, id: str, before: Row | None, row: Row | None) -> list[str]:
    if row is None:
        return [f"{id} is gone"]
    hold_id = hold_of(id)
    if before is None:
        hold = step.before.get(("holds", hold_id))
        if hold is None:
            return [f"{id} was placed, and its hold was left as it was"]
        violations = []
        created = row["created_at"]
        if hold["status"] != "active":
            violations.append(f"{id} was placed from a hold that is {hold['status']}")
        if created >= hold["expires_at"]:
            violations.append(f"{id} was placed {created - hold['expires_at']:.4f} s after its hold's time")
        if created < (free := locked_after(book, step, "holds", hold_id)):
            violations.append(f"{id} was placed at a time {free - created:.4f} s before the hold's row could be had")
        violations += lapsed_meanwhile(book, step, hold)
        ttl = row["payment_due_at"] - created
        if not any(-ROUNDED < known - ttl < ROUNDED for known in book.conditions.order_ttls):
            violations.append(f"{id} has to be paid within {ttl:.3f} s")
        if row["amount"] != row["quantity"] * book.rows["products"][str(row["product_id"])]["price"]:
            violations.append(f"{id} costs {row['amount']} for {row['quantity']} units")
        return violations
    names = ("quantity", "amount", "currency", "payment_due_at", "created_at")
    return [f"{id} is another order than before: {row}"] if any(before[name] != row[name] for name in names) else []


def lapsed_meanwhile(book: Book, step: Step, hold: Row) -> list[str]:
    """A hold that expires while its order is being committed still counts for its customer."""
    product, customer = hold["product_id"], hold["customer_id"]
    return [f"customer {customer} had {units} units of product {product} at {committed:.4f}, and {hold['quantity']} more in "
            f"{hold['id']} that was being ordered, above the limit of {limit}"
            for committed, limit, units in book.grants.get((product, customer), ())
            if hold["expires_at"] <= committed < step.by.committed and units + hold["quantity"] > limit]


def locked_after(book: Book, step: Step, table: str, id: str) -> float:
    """Until then another session had the row locked, so the transaction locked it later."""
    return max(step.free_since.get((table, id), 0.0), book.conditions.released_before(table, id, step.by.committed))
