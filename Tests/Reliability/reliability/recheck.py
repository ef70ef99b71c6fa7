"""Checks the evidence of an earlier run again."""

import argparse
from pathlib import Path

from . import checker, database, history
from .trial import DATABASE, HISTORY

SUMMARY = "check the evidence of an earlier run once more, in the folder --evidence"


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--evidence", type=Path)


def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the violations."""
    return checker.check(history.read(options.evidence / HISTORY), *database.load(options.evidence / DATABASE))
