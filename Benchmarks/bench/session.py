"""The state that all modes of a run share."""

from dataclasses import dataclass
from pathlib import Path

from .machine import describe
from .report import Report
from .services import Services


@dataclass(frozen=True)
class Session:
    services: Services
    work: Path  # for databases and logs; removed at the end
    results: Path  # for reports
    rounds: int
    seconds: float
    rows: int  # for --growth

    def report(self, name: str, title: str) -> Report:
        """Begins a report with the machine's description. A database must exist, because its settings are in it."""
        return Report(self.results, name, title, describe(next(iter(self.services.databases.values())), self.work))

    @property
    def method(self) -> str:
        return (
            f"Medians of {self.rounds} round{'' if self.rounds == 1 else 's'} of {self.seconds:g} s each, in turns, "
            "with 64 connections unless stated. Ratios are the medians of the rounds' ratios.")
