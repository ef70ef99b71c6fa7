"""`--demo-crash`: `flashsale demo`, its supervisor and its PostgreSQL get SIGKILL at once, again and again, under load,
and sometimes while they recover. Each time, acknowledged changes must be there."""

import argparse
import asyncio
import random
import time
from pathlib import Path

from harness.processes import answers, free_port, wait_for_line, wait_until
from harness.services import FLASHSALE, NOTHING_LAPSES, sql

from .checker import changes
from .processes import Child, family
from .trial import Sale, print_calls, unanswered

BUYERS = 20
RATE = 300  # calls a second, of all buyers
BUYING_SECONDS = 0.5  # after the crash
INTERRUPTED = 0.3  # of the starts are killed before they are done
BACK_WITHIN = 30  # seconds from the start to a response, recovery included


class Demo(Child):
    """The program, started again and again on the same port and the same data."""

    def __init__(self, work: Path) -> None:
        super().__init__("demo", work)
        self.data, self.port = work / "data", free_port()

    def start(self) -> None:
        self.launch(FLASHSALE, "demo", "--port", str(self.port), "--data-dir", self.data, env=NOTHING_LAPSES)

    def ready(self) -> str:
        """Waits until the program responds; returns its database's URL."""
        url = wait_for_line(r"^ *psql '(.*)'$", self.process, self.log)
        wait_until(lambda: answers(self.port, "/health/ready"), self.process, self.log)
        return url


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    demo = Demo(work)
    try:
        demo.start()
        # The checker reads the order of commits. The setting needs a restart.
        sql(demo.ready(), "alter system set track_commit_timestamp = on")
        demo.end()
        demo.start()
        url = demo.ready()
        changes.install(url)
        # `flashsale demo` migrates at each start, and refuses tables with triggers that are not PostgreSQL's own.
        sql(url, "update pg_trigger set tgisinternal = true where tgname = 'note'")
        return await crash_and_look(demo, Sale(work, url, RATE, BUYERS, options.seed), options.demo_crashes)
    finally:
        demo.end()


async def crash_and_look(demo: Demo, sale: Sale, crashes: int) -> list[str]:
    violations: list[str] = []
    choices = random.Random(sale.seed)
    for number in range(1, crashes + 1):
        async with sale.crowd(demo.port):
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
            sale.url = await asyncio.to_thread(demo.ready)
            took = time.monotonic() - began
            # Buyers repeat calls without a response, and go on.
            await asyncio.sleep(BUYING_SECONDS)
        print(f"crash {number}: {killed} processes killed, {interrupted} starts too, back after {took:.2f} s")
        if took > BACK_WITHIN:
            violations.append(f"it took {took:.1f} s to be back")
        violations += [f"crash {number}: {violation}" for violation in await sale.judge()]
        if violations:
            break
    print_calls(sale.history)
    violations += unanswered(sale.history, [demo]) + demo.terminate()
    if left := family(demo.process.pid, str(demo.data)):
        violations.append(f"{len(left)} processes were left")
    return violations
