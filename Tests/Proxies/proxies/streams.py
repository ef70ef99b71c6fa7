"""Watchers of a product's stock through a proxy. They behave like a browser's EventSource."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field

# Longer than the 15 s between heartbeats. A stream that is silent for this time is dead.
SILENCE_SECONDS_MAX = 20.0
# The page creates a new EventSource after this time if the browser does not reconnect.
NEW_SOURCE_SECONDS = 1.0


@dataclass
class Seen:
    stock: int
    at: float  # on the clock of `time.monotonic`


@dataclass
class Watcher(threading.Thread):
    """Watches until `stop()`. After the end of a stream it reconnects, after the time in the server's `retry`."""

    port: int
    product: int
    events: list[Seen] = field(default_factory=list)
    heartbeats: list[float] = field(default_factory=list)
    ends: int = 0
    # Responses after which a browser's EventSource does not reconnect.
    given_up: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._retry_seconds = NEW_SOURCE_SECONDS

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
                self.ends += 1
                self._stopping.wait(self._retry_seconds)
            except (OSError, http.client.HTTPException) as error:
                if self._stopping.is_set():
                    break
                if isinstance(error, TimeoutError):
                    self.given_up.append(f"silent for {SILENCE_SECONDS_MAX:.0f} s")
                self.ends += 1
                self._stopping.wait(self._retry_seconds)

    def _watch(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SILENCE_SECONDS_MAX)
        try:
            connection.request("GET", f"/api/products/{self.product}/events", headers={"Accept": "text/event-stream"})
            response = connection.getresponse()
            if response.status != 200 or response.getheader("content-type") != "text/event-stream":
                self.given_up.append(f"{response.status} {response.getheader('content-type')}")
                self._stopping.wait(NEW_SOURCE_SECONDS)
                return
            while (line := response.readline()) and not self._stopping.is_set():
                self._take(line.decode().rstrip("\r\n"))
        finally:
            connection.close()

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        with self._changed:
            if name == "data":
                self.events.append(Seen(json.loads(value)["available_stock"], time.monotonic()))
            elif name == "retry":
                self._retry_seconds = int(value) / 1000
            elif line == ":":
                self.heartbeats.append(time.monotonic())
            self._changed.notify_all()

    def wait_for(self, stock: int, seconds: float) -> bool:
        """Waits for an event with this stock; returns whether it came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.events) and self.events[-1].stock == stock, seconds)

    def wait_for_heartbeat(self, count: int, seconds: float) -> bool:
        """Waits for more than `count` heartbeats; returns whether they came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.heartbeats) > count, seconds)

    def stop(self) -> None:
        self._stopping.set()
