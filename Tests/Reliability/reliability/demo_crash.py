"""`--demo-crash`: `flashsale demo`, its supervisor and all of its PostgreSQL get SIGKILL at once, again and again,
under load, and sometimes while they recover from the last time. What was acknowledged is there each time."""

import argparse
import asyncio
import random
import time
from pathlib import Path

from harness.output import table, tell
from harness.processes import answers, free_port, wait_for_line, wait_until
from harness.services import FLASHSALE, create_product

from .crowd import Crowd
from .history import History
from .processes import Child, family
from .shop import Shop
from .trial import HISTORY, judge, print_calls, unanswered

SUMMARY = "everything that `flashsale demo` consists of is killed at once, under load"

BUYERS = 20
RATE = 300  # calls a second, of all buyers
BUYING_SECONDS = 0.5  # after the crash
INTERRUPTED = 0.3  # of the starts are killed before they are done
BACK_WITHIN = 30  # seconds from the start to an answer, recovery included
HOUR = 3600  # seconds, longer than a run: nothing lapses


class Demo(Child):
    """The program, started again and again on the same port and the same data."""

    def __init__(self, work: Path) -> None:
        super().__init__("demo", work)
        self.data, self.port = work / "data", free_port()

    def start(self) -> None:
        self.launch(FLASHSALE, "demo", "--port", str(self.port), "--data-dir", self.data, env={
            "HOLD_TTL_SECONDS": str(HOUR), "ORDER_TTL_SECONDS": str(HOUR)})

    def wait(self) -> str:
        """Until it answers; returns its database's URL."""
        assert self.process is not None
        url = wait_for_line(r"^ *psql '(.*)'$", self.process, self.log)
        wait_until(lambda: answers(self.port, "/health/ready"), self.process, self.log)
        return url


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--demo-crashes", type=int, default=10, help="(default: 10)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Crashes it, prints what was seen; returns what was other than promised."""
    demo = Demo(work)
    try:
        return asyncio.run(crash_and_look(demo, options.demo_crashes, options.seed))
    finally:
        demo.end()


async def crash_and_look(demo: Demo, crashes: int, seed: int) -> list[str]:
    violations: list[str] = []
    rows: list[list[str]] = []
    choices = random.Random(seed)
    history = History(demo.work / HISTORY)
    demo.start()
    url = await asyncio.to_thread(demo.wait)
    product = create_product(url)
    for number in range(1, crashes + 1):
        tell(f"crash {number} of {crashes}")
        async with Crowd(Shop([product], RATE), BUYERS, [demo.port], history, seed):
            await asyncio.sleep(choices.uniform(0.5, 2))
            killed, interrupted = await asyncio.to_thread(demo.kill, str(demo.data)), 0
            while True:
                began = time.monotonic()
                demo.start()
                if choices.random() >= INTERRUPTED:
                    break
                await asyncio.sleep(choices.uniform(0, 0.5))
                interrupted += 1
                await asyncio.to_thread(demo.kill, str(demo.data))
            url = await asyncio.to_thread(demo.wait)
            took = time.monotonic() - began
            # Buyers repeat calls that got no response, and go on.
            await asyncio.sleep(BUYING_SECONDS)
        rows.append([str(number), str(killed), str(interrupted), f"{len(history.calls):,}", f"{took:.2f}"])
        if took > BACK_WITHIN:
            violations.append(f"it took {took:.1f} s to be back")
        violations += await asyncio.to_thread(judge, history, url, demo.work, HOUR, HOUR)
        if violations:
            violations = [f"crash {number}: {violation}" for violation in violations]
            break
    history.close()
    violations += unanswered(history, [demo])
    violations += demo.terminate()
    assert demo.process is not None
    if left := family(demo.process.pid, str(demo.data)):
        violations.append(f"{len(left)} processes were left")
    print(table(["crash", "processes killed", "starts killed", "calls so far", "back after s"], rows))
    print_calls(history)
    return violations
