"""Buyers who hold, order, pay and read over connections that they keep, and who remember what they were promised."""

import http.client
import itertools
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Twice as long as any wait of the server: an answer that takes longer does not come.
ANSWER_SECONDS_MAX = 20.0
# Between calls, so that connections are also idle now and then: a server that closes one meets a request on its way.
THINKING_SECONDS_MAX = 0.04
# Between attempts of somebody who insists.
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Failure:
    """A call without the answer that was to be expected."""

    at: float  # on the clock of `time.monotonic`
    call: str
    what: str
    # The connection was refused, so the request cannot have reached anybody.
    is_refusal: bool
    # Nobody answered, and it was the first request of its connection.
    is_first: bool

    def __str__(self) -> str:
        return f"{self.call}: {self.what}{' (on a new connection)' if self.is_first else ''}"


@dataclass
class Promises:
    """What one shopper was told, and how it went. Read by others when the shopper has ended."""

    holds: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    successes: list[float] = field(default_factory=list)  # when
    writes: list[float] = field(default_factory=list)  # those that changed something
    failures: list[Failure] = field(default_factory=list)
    # What contradicts an earlier promise.
    broken: list[str] = field(default_factory=list)
    # Calls that were given up because time was up: nobody knows whether they had their effect.
    abandoned: int = 0
    # Answers after which the server closed the connection, having said so.
    closing: int = 0


class Unanswered(Exception):
    """This purchase ends here."""


class Shopper(threading.Thread):
    """Buys until told to stop."""

    def __init__(
        self, number: int, ports: Sequence[int], product: int, seed: int, stopping: threading.Event, insists: bool,
        thinking_seconds_max: float
    ) -> None:
        super().__init__(name=f"shopper {number}", daemon=True)
        self.promises = Promises()
        self._ports = itertools.cycle(ports[number % len(ports):] + ports[:number % len(ports)])
        self._product = product
        self._random = random.Random(f"{seed} {number}")
        self._stopping = stopping
        self._insists = insists
        self._thinking_seconds_max = thinking_seconds_max
        self._keys = (f"{seed}-{number}-{n}" for n in itertools.count())
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._buy()
            except Unanswered:
                pass
            except Exception as error:  # an answer that is none: it would be missed if this one just ended
                self.promises.broken.append(f"{type(error).__name__} over an answer: {error}")
                break
        self._hang_up()

    def _buy(self) -> None:
        """A purchase, with what may be asked in between. Each write has a key, so that it can be repeated."""
        promises = self.promises
        self._call("GET", f"/api/products/{self._product}")
        hold = self._call("POST", "/api/holds", {"product_id": self._product, "quantity": 1}, expected=201)["hold_id"]
        promises.holds.add(hold)
        if self._random.random() < 0.1:
            # May have been released at the first attempt already: the answer is the same.
            self._call("DELETE", f"/api/holds/{hold}")
            return
        order = self._call("POST", "/api/orders", {"hold_id": hold}, expected=201)["order_id"]
        promises.orders.add(order)
        # Told so by whichever server is asked, and expected.
        self._call("POST", "/api/orders", {"hold_id": hold}, expected=409)
        event = {"idempotency_key": next(self._keys), "order_id": order, "status": "success"}
        verdict = self._call("POST", "/api/payments/webhook", event)["verdict"]
        if verdict != "applied":
            promises.broken.append(f"{order} was paid in time, and the verdict is {verdict}")
        promises.paid.add(order)
        status = self._call("GET", f"/api/orders/{order}")["status"]
        if status != "paid":
            promises.broken.append(f"{order} was paid, and then reads {status}")

    # MARK: Calls

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, expected: int = 200) -> dict[str, Any]:
        """Returns the object of the expected answer. Somebody who insists asks again, under the same key, elsewhere."""
        headers = {"Idempotency-Key": next(self._keys)}
        while True:
            self._stopping.wait(self._random.uniform(0, self._thinking_seconds_max))
            is_new, is_refusal, is_first = self._connection is None, False, False
            try:
                status, answer = self._request(method, path, body, headers)
                if status == expected:
                    now = time.monotonic()
                    self.promises.successes.append(now)
                    if method != "GET" and expected != 409:
                        self.promises.writes.append(now)
                    return answer
                what = f"{status} {answer.get('type', answer)}"
                if status not in (500, 502, 503, 504):
                    self.promises.broken.append(f"{method} {path}: {what}")
                    raise Unanswered
            except (OSError, http.client.HTTPException) as error:
                what = f"{type(error).__name__}: {error}"
                is_refusal, is_first = isinstance(error, ConnectionRefusedError), is_new
                self._hang_up()
            self.promises.failures.append(Failure(time.monotonic(), f"{method} {path}", what, is_refusal, is_first))
            if not self._insists or self._stopping.is_set():
                self.promises.abandoned += 1
                raise Unanswered
            self._hang_up()
            self._stopping.wait(PAUSE_SECONDS)

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", next(self._ports), timeout=ANSWER_SECONDS_MAX)
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.will_close:
            self.promises.closing += 1
            self._hang_up()
        return response.status, json.loads(text) if text.startswith(b"{") else {"text": text.decode(errors="replace")}

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Crowd:
    """Shoppers who buy for the length of its block."""

    def __init__(
        self, count: int, ports: Sequence[int], product: int, seed: int, insists: bool = False,
        thinking_seconds_max: float = THINKING_SECONDS_MAX
    ) -> None:
        """`ports` are those of servers here; who `insists` repeats a call until it is answered as expected."""
        self._stopping = threading.Event()
        self._shoppers = [
            Shopper(number, list(ports), product, seed, self._stopping, insists, thinking_seconds_max)
            for number in range(count)]

    def __enter__(self) -> "Crowd":
        for shopper in self._shoppers:
            shopper.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        for shopper in self._shoppers:
            shopper.join()

    def _gather(self, name: str) -> list[Any]:
        return [item for shopper in self._shoppers for item in list(getattr(shopper.promises, name))]

    @property
    def successes(self) -> list[float]:
        return sorted(self._gather("successes"))

    @property
    def writes(self) -> list[float]:
        return sorted(self._gather("writes"))

    @property
    def last_write(self) -> float:
        return max((shopper.promises.writes[-1] for shopper in self._shoppers if shopper.promises.writes), default=0)

    @property
    def failures(self) -> list[Failure]:
        return sorted(self._gather("failures"), key=lambda failure: failure.at)

    @property
    def broken(self) -> list[str]:
        return self._gather("broken")

    @property
    def closing(self) -> int:
        return sum(shopper.promises.closing for shopper in self._shoppers)

    @property
    def abandoned(self) -> int:
        return sum(shopper.promises.abandoned for shopper in self._shoppers)

    @property
    def holds(self) -> set[str]:
        return set(self._gather("holds"))

    @property
    def orders(self) -> set[str]:
        return set(self._gather("orders"))

    @property
    def paid(self) -> set[str]:
        return set(self._gather("paid"))


def told(failures: list[Failure], limit: int = 8) -> list[str]:
    """The failures by kind, the most frequent first; ids and numbers are left out."""
    def kind(failure: Failure) -> str:
        return re.sub(r"/\w+_\w+", "", str(failure), count=1)

    return [f"{count} × {kind}" for kind, count in Counter(map(kind, failures)).most_common(limit)]
