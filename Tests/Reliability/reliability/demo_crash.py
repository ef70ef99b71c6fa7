"""`--demo-crash`: `flashsale demo`, its supervisor and all of its PostgreSQL get SIGKILL at once, again and again,
under load, and sometimes while they recover from the last time. What was acknowledged is there each time."""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.output import table, tell
from harness.processes import HarnessError, answers, free_port, running, wait_for_line, wait_until
from harness.services import FLASHSALE, create_product

from .buyers import Record, audit_of, compare, crowd, holds_of, lost

SUMMARY = "everything that `flashsale demo` consists of is killed at once, under load"

BUYERS = 20
INTERRUPTED = 0.3  # of the starts are killed before they are done
BACK_WITHIN = 30  # seconds from the start to an answer, recovery included


@dataclass
class Demo:
    """The program, started again and again on the same port and the same data."""

    data: Path
    work: Path
    port: int
    starts: int = 0

    def start(self, stack: ExitStack) -> tuple[subprocess.Popen[bytes], Path]:
        self.starts += 1
        log = self.work / f"demo-{self.starts}.log"
        process = stack.enter_context(
            running(FLASHSALE, "demo", "--port", str(self.port), "--data-dir", self.data, log=log))
        return process, log

    def wait(self, process: subprocess.Popen[bytes], log: Path) -> str:
        """Until it answers; returns its database's URL."""
        url = wait_for_line(r"^ *psql '(.*)'$", process, log)
        wait_until(lambda: answers(self.port, "/health/ready"), process, log)
        return url


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--demo-crashes", type=int, default=10, help="(default: 10)")


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Crashes it, prints what was seen; returns what was other than promised."""
    return asyncio.run(crash_and_look(Demo(work / "data", work, free_port()), options))


async def crash_and_look(demo: Demo, options: argparse.Namespace) -> list[str]:
    violations: list[str] = []
    rows: list[list[str]] = []
    choices = random.Random(options.seed)
    record, over = Record(), asyncio.Event()
    with ExitStack() as stack:
        process, log = demo.start(stack)
        url = await asyncio.to_thread(demo.wait, process, log)
        product = create_product(url)
        buyers = crowd(BUYERS, f"http://127.0.0.1:{demo.port}", product, record, over)
        try:
            for number in range(1, options.demo_crashes + 1):
                tell(f"crash {number} of {options.demo_crashes}")
                await asyncio.sleep(choices.uniform(0.5, 2))
                acknowledged = len(record.holds)
                killed = await asyncio.to_thread(kill_all, process, demo.data)
                interrupted = 0
                while True:
                    began = time.monotonic()
                    process, log = demo.start(stack)
                    if choices.random() >= INTERRUPTED:
                        break
                    await asyncio.sleep(choices.uniform(0, 0.5))
                    interrupted += 1
                    await asyncio.to_thread(kill_all, process, demo.data)
                url = await asyncio.to_thread(demo.wait, process, log)
                took = time.monotonic() - began
                rows.append([str(number), str(killed), str(interrupted), f"{acknowledged:,}", f"{took:.2f}"])
                if took > BACK_WITHIN:
                    violations.append(f"crash {number}: it took {took:.1f} s to be back")
                violations += [f"crash {number}: {violation}" for violation in (
                    *compare(record, holds_of(url)), *lost(record, url), *audit_of(url))]
        finally:
            over.set()
            await asyncio.gather(*buyers)
        violations += [*compare(record, holds_of(url)), *lost(record, url), *audit_of(url)]
        process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(process.wait, 60)
        if status != 0:
            violations.append(f"it ended with {status}")
        if left := processes_of(process.pid, demo.data):
            violations.append(f"{len(left)} processes were left")
    print(table(["crash", "processes killed", "starts killed", "holds acknowledged so far", "back after s"], rows))
    print(f"Answers: {', '.join(f'{label}: {count:,}' for label, count in record.by_label().items())}")
    return violations


def kill_all(process: subprocess.Popen[bytes], data: Path) -> int:
    """All of them stop first, so that none sees another one end. Returns how many there were."""
    stopped: set[int] = set()
    while found := processes_of(process.pid, data) - stopped:
        for pid in found:
            send(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        send(pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in stopped):
        if time.monotonic() > deadline:
            raise HarnessError("a process outlived SIGKILL")
        time.sleep(0.01)
    return len(stopped)


def processes_of(root: int, data: Path) -> set[int]:
    """The process and its descendants, and what else has the directory in its command line, with its descendants."""
    parents, found = {}, set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[0] == "Z":
            continue
        parents[int(entry.name)] = int(fields[1])
        if int(entry.name) == root or str(data).encode() in command:
            found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def is_alive(pid: int) -> bool:
    """A zombie is not: whoever has to collect it may take a while."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
