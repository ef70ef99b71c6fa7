"""Wall clocks that are off: of single processes, by a library that is loaded into them."""

import shutil
import time
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path

from harness.processes import HarnessError, output_of
from harness.services import ROOT

SOURCE = ROOT / "Tests/Reliability/clock.c"


def clock_off(port: int) -> float:
    """By how many seconds a server's clock is ahead of ours, as its answers have it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=5) as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()


class Clocks:
    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock.so"
        # Swift brings clang with it.
        compiler = shutil.which("cc") or shutil.which("clang")
        self.obstacle = "" if compiler else "there is no C compiler"
        if compiler:
            try:
                output_of(compiler, "-O2", "-shared", "-fPIC", "-o", self._library, SOURCE)
            except HarnessError as error:
                self.obstacle = str(error)

    def ahead_by(self, seconds: int) -> dict[str, str]:
        """The environment of a process whose clock is ahead by so much, or behind when that is negative."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFF_SECONDS": str(seconds)}
