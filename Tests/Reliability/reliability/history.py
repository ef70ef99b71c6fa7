"""Calls and their responses, with times. The checker judges them."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

# Problems of calls without an effect, and faults before a request was sent.
DID_NOTHING = {"database-unavailable", "overloaded", "shutting-down"}
NOT_SENT = {"connection refused", "not connected in time"}
# The status of a hold that a refusal tells.
REFUSALS = {"hold-already-ordered": "ordered", "hold-expired": "expired", "hold-released": "released"}


@dataclass(slots=True)
class Call:
    """One call. Times are seconds of the wall clock, which the harness and the database share."""

    client: int
    server: int
    operation: str              # a name in client.ADDRESSES
    product: int
    request: dict[str, Any]     # the body, or the parts of the address
    key: str | None = None      # Idempotency-Key
    start: float = 0.0
    end: float = 0.0
    start_monotonic: float = 0.0
    end_monotonic: float = 0.0
    status: int = 0             # 0 without a response
    answer: dict[str, Any] = field(default_factory=dict)
    is_replay: bool = False
    retry_after: int | None = None  # seconds, of the header
    fault: str = ""             # the reason for no response
    connected: float = 0.0      # when its connection was made, on the monotonic clock

    def answered(self, status: int, answer: dict[str, Any], is_replay: bool, retry_after: int | None = None) -> None:
        self.status, self.answer, self.is_replay, self.retry_after = status, answer, is_replay, retry_after

    @property
    def is_unknown(self) -> bool:
        """Whether nothing tells the effect of the call. It may come now, later, or never."""
        return (self.status == 0 and self.fault not in NOT_SENT
                or self.status >= 500 and not (self.status == 503 and self.problem in DID_NOTHING))

    @property
    def may_have_acted(self) -> bool:
        """Whether the call may have changed something. A refused call has not."""
        return self.status in (200, 201, 202) or self.is_unknown

    @property
    def problem(self) -> str:
        return str(self.answer.get("type", "")).removeprefix("/problems/")

    @property
    def word(self) -> str:
        """The response in a word, for a table."""
        return self.fault or (f"{self.status} {self.problem}" if self.status >= 400 else str(self.status))

    @property
    def order_id(self) -> str:
        """Of the order that the call places, pays or reads."""
        return self.request.get("order_id") or order_of(self.request["hold_id"])

    @property
    def hold_status(self) -> str | None:
        """The status of its hold that the response tells."""
        if self.status in (200, 201) and self.operation in ("hold", "read_hold", "release"):
            return str(self.answer["status"])
        if self.operation == "order" and self.status == 201:
            return "ordered"
        return REFUSALS.get(self.problem) if self.status == 409 else None

    @property
    def order_status(self) -> str | None:
        """The status of its order that the response tells."""
        if self.operation == "pay" and self.status == 200:
            return str(self.answer["order_status"])
        if self.operation in ("order", "read_order") and self.status in (200, 201):
            return str(self.answer["status"])
        return None

    def __str__(self) -> str:
        return f"client {self.client}, server {self.server}, {self.operation} at {self.start:.4f}"


class History:
    """All calls that have ended, in the order of their ends; also written to a file."""

    def __init__(self, path: Path | None = None) -> None:
        self.calls: list[Call] = []
        self._file = open(path, "w", encoding="utf-8", buffering=1) if path else None

    def add(self, call: Call) -> None:
        self.calls.append(call)
        if self._file:
            self._file.write(json.dumps(asdict(call)) + "\n")


def read(path: Path) -> list[Call]:
    return [Call(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def clock_step(calls: Iterable[Call]) -> float:
    """By how many seconds the wall clock was set, measured by the monotonic clock."""
    # A pause between reading the two clocks makes the offset smaller, never larger.
    highest: dict[int, float] = {}
    for call in calls:
        second, offset = int(call.start_monotonic), call.start - call.start_monotonic
        highest[second] = max(offset, highest.get(second, offset))
    return max(highest.values()) - min(highest.values()) if highest else 0.0


def order_of(hold_id: str) -> str:
    return hold_id.replace("hold_", "order_")


def hold_of(order_id: str) -> str:
    """Also takes the hold's id."""
    return order_id.replace("order_", "hold_")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


WRITES = {"hold": 201, "order": 201, "pay": 200, "release": 200}


def writes(calls: Iterable[Call]) -> list[float]:
    """When changes were acknowledged, on the monotonic clock."""
    return sorted(call.end_monotonic for call in calls if WRITES.get(call.operation) == call.status)


def failures(calls: Iterable[Call], may_be_refused: bool = False, since: float = 0.0) -> list[str]:
    """The calls that failed, by kind. A refused connection has reached no server, so it may be allowed. `since` leaves
    out calls that began before, on the monotonic clock."""
    found = Counter(f"{call.operation}: {call.word}" for call in calls
                    if call.start_monotonic >= since and not 200 <= call.status < 500)
    return [f"{count} × {what}" for what, count in found.most_common()
            if not (may_be_refused and what.endswith(": connection refused"))]
