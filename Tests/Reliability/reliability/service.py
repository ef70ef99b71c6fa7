"""How long there was no service: a probe of each server that never stops asking."""

import asyncio
import time
from dataclasses import dataclass, field

from .client import Client
from .history import History

PAUSE = 0.1       # seconds between questions: what is shorter is not seen
PATIENCE = 1.0    # seconds


@dataclass
class Probe:
    """Holds a unit again and again: what a server can do if it, its network and its database all work."""

    client: Client
    server: int
    product: int
    answered: list[float] = field(default_factory=list)  # monotonic times

    async def run(self) -> None:
        count = 0
        while True:
            count += 1
            call = await self.client.call("hold", self.product, {
                "product_id": self.product, "quantity": 1, "customer_id": f"probe-{self.server}-{count}"}, self.server)
            if call.status == 201:
                self.answered.append(call.end_monotonic)
            await asyncio.sleep(PAUSE)

    def outage(self, begin: float, end: float) -> float:
        """The longest time without an answer that overlaps with this one."""
        times = [begin, *(time for time in self.answered if begin <= time <= end), end]
        before = [time for time in self.answered if time < begin]
        if before:
            times[0] = before[-1]
        return max(later - earlier for earlier, later in zip(times, times[1:]))


class Probes:
    def __init__(self, ports: list[int], product: int, history: History) -> None:
        self.probes = [Probe(Client(-1 - server, ports, history, PATIENCE), server, product)
                       for server in range(len(ports))]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(probe.run()) for probe in self.probes]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for probe in self.probes:
            probe.client.close()

    def outages(self, begin: float, end: float) -> list[float]:
        """For each server."""
        return [probe.outage(begin, end) for probe in self.probes]

    async def wait_until_served(self, seconds: float) -> float | None:
        """Returns after how long every server had answered again; None if one did not in time."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if all(probe.answered and probe.answered[-1] > start for probe in self.probes):
                return time.monotonic() - start
            await asyncio.sleep(0.02)
        return None
