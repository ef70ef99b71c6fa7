"""Checks the evidence of an earlier run again."""

import argparse
from pathlib import Path

from harness.processes import HarnessError

from . import checker, database, history
from .stress import mode as stress
from .trial import DATABASE, HISTORY

SUMMARY = "check the evidence of an earlier run once more, in the folder --evidence"


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--evidence", type=Path)


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    if options.evidence is None or not (options.evidence / HISTORY).exists():
        raise HarnessError(f"--recheck needs --evidence FOLDER, with a {HISTORY} in it")
    calls = history.read(options.evidence / HISTORY)
    if (options.evidence / stress.CHANGES).exists():
        return stress.judge_again(options.evidence, calls)
    return checker.check(calls, *database.load(options.evidence / DATABASE))
