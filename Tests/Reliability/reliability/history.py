"""Calls and their responses, with times: the evidence that the checker judges."""

import json
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    ANSWERED = "answered"  # it is known what the call did
    NOTHING = "nothing"    # it is known that it did nothing
    UNKNOWN = "unknown"    # it may have taken effect, or do so later, or never


# Refusals of calls that were not carried out, by the last part of their type.
DID_NOTHING = {"database-unavailable", "overloaded", "shutting-down"}


@dataclass(slots=True)
class Call:
    """One call. Times are seconds of the wall clock, which harness and database share; an hour's fault in a server's
    clock does not touch them."""

    client: int
    server: int
    operation: str              # hold, order, pay, release, product, products, read_hold, read_order, and admin calls
    product: int
    request: dict[str, Any]     # the body, or what the address names
    key: str | None = None      # Idempotency-Key
    start: float = 0.0
    end: float = 0.0
    start_monotonic: float = 0.0
    end_monotonic: float = 0.0
    outcome: Outcome = Outcome.UNKNOWN
    status: int = 0             # 0 when no answer came
    answer: dict[str, Any] = field(default_factory=dict)
    is_replay: bool = False
    retry_after: int | None = None  # seconds, of the header
    fault: str = ""             # why no answer came
    connected: float = 0.0      # when its connection was made, on the monotonic clock

    def begin(self) -> None:
        self.start, self.start_monotonic = time.time(), time.monotonic()

    def finish(self) -> None:
        self.end, self.end_monotonic = time.time(), time.monotonic()

    def answered(
        self, status: int, answer: dict[str, Any], is_replay: bool, retry_after: int | None = None
    ) -> None:
        self.status, self.answer, self.is_replay, self.retry_after = status, answer, is_replay, retry_after
        if status == 503 and self.problem in DID_NOTHING:
            self.outcome = Outcome.NOTHING
        elif status >= 500:
            self.outcome = Outcome.UNKNOWN
        else:
            self.outcome = Outcome.ANSWERED

    @property
    def may_have_acted(self) -> bool:
        """Whether it may have made, changed or recorded something: a refusal says that it did not."""
        return self.status in (200, 201, 202) or self.outcome is Outcome.UNKNOWN

    @property
    def problem(self) -> str:
        return str(self.answer.get("type", "")).removeprefix("/problems/")

    @property
    def word(self) -> str:
        """What became of it, for a table."""
        return self.fault or (f"{self.status} {self.problem}" if self.status >= 400 else str(self.status))


def describe(call: Call) -> str:
    return f"client {call.client}, server {call.server}, {call.operation} at {call.start:.4f}"


class History:
    """All calls that have ended, in the order of their ends; also written to a file as they end."""

    def __init__(self, path: Path | None = None) -> None:
        self.calls: list[Call] = []
        self._file = open(path, "w", encoding="utf-8") if path else None

    def add(self, call: Call) -> None:
        self.calls.append(call)
        if self._file:
            self._file.write(json.dumps(asdict(call)) + "\n")

    def close(self) -> None:
        if self._file:
            self._file.close()

    def clock_step(self) -> float:
        """By how many seconds the wall clock was set, measured by the monotonic clock. Times are comparable only if that is
        far less than a call takes."""
        # A pause between reading the two clocks makes the offset smaller, never larger.
        highest: dict[int, float] = {}
        for call in self.calls:
            second, offset = int(call.start_monotonic), call.start - call.start_monotonic
            highest[second] = max(offset, highest.get(second, offset))
        return max(highest.values()) - min(highest.values()) if highest else 0.0


def read(path: Path) -> History:
    history = History()
    with open(path, encoding="utf-8") as lines:
        history.calls = [Call(**json.loads(line)) for line in lines]
    for call in history.calls:
        call.outcome = Outcome(call.outcome)
    return history
