"""`--recheck`: checks the evidence of an earlier run again."""

import argparse
from pathlib import Path

from harness.processes import HarnessError

from .mode import Mode
from .trial import HISTORY, judge_again


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    if options.evidence is None or not (options.evidence / HISTORY).exists():
        raise HarnessError(f"--recheck needs --evidence FOLDER, with a {HISTORY} in it")
    return judge_again(options.evidence)


MODE = Mode("check the evidence of an earlier run once more, in the folder --evidence", run, {"--evidence": {"type": Path}})
