"""Wall clocks that are off: of single processes, by a library that is loaded into them."""

import shutil
from pathlib import Path

from bench.children import BenchError, output_of
from bench.services import ROOT

SOURCE = ROOT / "Tests/Reliability/clock.c"


class Clocks:
    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock.so"
        # Swift brings clang with it.
        compiler = shutil.which("cc") or shutil.which("clang")
        self.obstacle = "" if compiler else "there is no C compiler"
        if compiler:
            try:
                output_of(compiler, "-O2", "-shared", "-fPIC", "-o", self._library, SOURCE)
            except BenchError as error:
                self.obstacle = str(error)

    def ahead_by(self, seconds: int) -> dict[str, str]:
        """The environment of a process whose clock is ahead by so much, or behind when that is negative."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFF_SECONDS": str(seconds)}
