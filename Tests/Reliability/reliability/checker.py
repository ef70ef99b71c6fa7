"""Whether a history kept the promises of the contract, given what the database says at the end."""

from collections import Counter
from dataclasses import replace

from . import agreement, database, payments, stock
from .evidence import Evidence
from .history import DID_NOTHING, History

# The responses to each operation. `AT_ANY_TIME` may be the response to any call while something is broken.
EXPECTED = {
    "hold": {"201", "409 insufficient-stock", "422 idempotency-key-reused"},
    "order": {"201", "409 hold-already-ordered", "409 hold-expired", "409 hold-released", "422 idempotency-key-reused"},
    "pay": {"200", "202", "422 idempotency-key-reused"},
    "release": {"200", "409 hold-already-ordered", "409 hold-expired"},
    "product": {"200"}, "products": {"200"}, "read_hold": {"200"}, "read_order": {"200"},
}
AT_ANY_TIME = {f"503 {problem}" for problem in ("outcome-unknown", *DID_NOTHING)}

# Times of calls are compared with times of the database, so the wall clock must not be set.
CLOCK_STEP_MAX = 0.01  # seconds


def check(history: History, rows: database.Database, hold_ttl: float, order_ttl: float) -> list[str]:
    """Returns the violations."""
    step = history.clock_step()
    if step > CLOCK_STEP_MAX:
        return [f"this machine's clock was set by {step:.3f} s during the run: its times prove nothing"]
    evidence = Evidence(history.calls)
    rows = replace(rows, holds={id: hold for id, hold in rows.holds.items() if not is_void(hold, evidence)})
    return [
        *unexpected(history),
        *agreement.check(evidence, rows, hold_ttl, order_ttl),
        *payments.check(evidence, rows),
        *stock.check(evidence, rows, hold_ttl),
    ]


def unexpected(history: History) -> list[str]:
    """Responses that the contract does not know. `agreement` judges a 404."""
    counts = Counter((call.operation, call.word) for call in history.calls if call.status not in (0, 404))
    return [f"{count} times {operation} was answered {word}" for (operation, word), count in sorted(counts.items())
            if word not in EXPECTED[operation] | AT_ANY_TIME]


def is_void(hold: database.HoldRow, evidence: Evidence) -> bool:
    """Whether a server made this row so that no hold can get its number any more, after a lost answer of the database. It
    looks like a released hold, and no response has named it."""
    return (hold.status, hold.quantity, hold.customer) == ("released", 1, None) and hold.id not in evidence.by_hold
