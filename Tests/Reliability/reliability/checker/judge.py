"""The checker of all modes: replays the log of changes, and checks every response against it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..history import Call, clock_step
from . import answers, effects, rules, verdicts
from .book import Book, Refusal
from .changes import Transaction
from .conditions import Conditions

# From the end of a hold or an order to the commit of its expiry.
EXPIRES_WITHIN = 1.0    # seconds
# A worker whose backend is ended has to connect anew first.
RECOVERS_WITHIN = 4.0   # seconds
SHOWN = 5   # violations of a kind
# How long the job that removes old events may sleep, beside the retention itself.
GIVES_UP_WITHIN = 5.0   # seconds
# The checker compares times of calls with times of the database. So the wall clock must not be set during a run.
CLOCK_STEP_MAX = 0.01   # seconds


@dataclass(slots=True)
class Judgement:
    violations: list[str] = field(default_factory=list)
    transactions: int = 0
    changes: int = 0
    # Seconds after its time that the latest hold or order of an undisturbed product expired.
    latest: dict[str, float] = field(default_factory=lambda: {"holds": 0.0, "orders": 0.0})


def judge(log: Iterable[Transaction], calls: list[Call], conditions: Conditions) -> Judgement:
    judgement = Judgement()
    if (set_by := clock_step(calls)) > CLOCK_STEP_MAX:
        judgement.violations.append(
            f"this machine's clock was set by {set_by:.3f} s during the run: its times prove nothing")
        return judgement
    book = Book(conditions)
    ended = 0.0
    for transaction in log:
        step = book.take(transaction)
        judgement.violations += [f"{line} (transaction {transaction.id}, committed at {transaction.committed:.4f})"
                                 for line in (*rules.check(book, step), *verdicts.check(book, step))]
        judgement.transactions += 1
        judgement.changes += len(transaction.changes)
        ended = transaction.committed
    judgement.violations += [
        *book.violations, *answers.check(calls, book), *effects.check(calls, book), *late(book, judgement),
        *(line for refusal in book.refusals for line in unexplained(refusal, book))]
    # A parked success whose order does not come becomes refund_due in time.
    now = max([ended, *(call.end for call in calls)])
    for key, row in book.rows["payment_events"].items():
        if (row["verdict"] == "parked" and row["status"] == "success" and row.get("settled_at") is None
                and (waits := now - row["received_at"]) > conditions.parked_ttl + GIVES_UP_WITHIN):
            judgement.violations.append(f"payment event {key} is parked for {waits:.1f} s")
    return judgement


def unexplained(refusal: Refusal, book: Book) -> Iterator[str]:
    """Whether stock and the customer's limit allowed the late payment during the whole transaction."""
    product, begin, end = refusal.order["product_id"], refusal.by.began, refusal.by.committed
    stocks = [version.value for version, _, _ in book.stock[product].seen(begin, end) if version is not None]
    quantity = refusal.order["quantity"]
    least = min((min(stock.available(begin, begin)) for stock in stocks), default=0)
    limits = [stock.product["max_per_customer"] for stock in stocks if stock.product["max_per_customer"] is not None]
    customer = (product, book.customer_of(refusal.order["id"]) or "")
    most = book.most_units(customer, begin, end, begin)
    is_limited = customer in book.holdings and limits and most + quantity > min(limits)
    if least + refusal.given_back >= quantity and not is_limited:
        yield (f"payment event {refusal.key} is refund_due, and {refusal.order['id']} could have been paid: it has "
               f"{quantity} units, {least} were available, its customer had {most} of {limits}")


def late(book: Book, judgement: Judgement) -> Iterator[str]:
    """Holds and orders that expired late, of products whose rows the harness has not locked."""
    conditions = book.conditions
    for table, due_name, open_status in (
            ("holds", "expires_at", "active"), ("orders", "payment_due_at", "pending_payment")):
        for id, timeline in book.history[table].items():
            for version, following in zip(timeline.versions, timeline.versions[1:]):
                row, after = version.value, following.value
                if row is None or row["status"] != open_status or row["product_id"] not in conditions.undisturbed:
                    continue
                due, at = row[due_name], following.by.committed
                if (at < due or after is not None and after["status"] == open_status
                        # Somebody locked the whole table.
                        or conditions.is_locked_between(row["product_id"], due - EXPIRES_WITHIN, at)):
                    continue
                within = RECOVERS_WITHIN
                if not conditions.is_killed_between(due - EXPIRES_WITHIN, at):
                    within = EXPIRES_WITHIN
                    judgement.latest[table] = max(judgement.latest[table], at - due)
                if at - due > within + conditions.stalled(due, at):
                    yield f"{id} was {after and after['status']} {at - due:.3f} s after its time"


def some_of_each_kind(violations: list[str], most: int = SHOWN) -> list[str]:
    """A few of each kind. Violations of one kind differ only in numbers and names."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for violation in violations:
        kinds[re.sub(r"(payment event|key) \S+|customer[- ]\S+|\S*\d\S*|\(.*", "", violation)[:120]].append(violation)
    shown = []
    for same in kinds.values():
        shown += same[:most]
        if len(same) > most > 1:
            shown.append(f"and {len(same) - most:,} more like it: {same[0][:100]}")
    return shown
