"""Whether a history kept the promises of the contract, given what the database says at the end."""

from dataclasses import replace

from . import agreement, database, payments, stock
from .evidence import Evidence
from .history import History

# The wall clock is what the database's times are compared with.
CLOCK_STEP_MAX = 0.01  # seconds


def check(history: History, rows: database.Database, hold_ttl: float, order_ttl: float) -> list[str]:
    """Returns the violations."""
    step = history.clock_step()
    if step > CLOCK_STEP_MAX:
        return [f"this machine's clock was set by {step:.3f} s during the run: its times prove nothing"]
    evidence = Evidence(history.calls)
    rows = replace(rows, holds={id: hold for id, hold in rows.holds.items() if not is_void(hold, evidence)})
    return [
        *agreement.check(evidence, rows, hold_ttl, order_ttl),
        *payments.check(evidence, rows),
        *stock.check(evidence, rows, hold_ttl),
    ]


def is_void(hold: database.HoldRow, evidence: Evidence) -> bool:
    """A number that was taken so that no hold can have it any more, since a server did not hear what became of it: it
    looks like a hold that was released, but nobody was told of it, who could have released it."""
    return (hold.status, hold.quantity, hold.customer) == ("released", 1, None) and hold.id not in evidence.by_hold
