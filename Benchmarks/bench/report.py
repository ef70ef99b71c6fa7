"""Reports in Markdown, also for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from harness.output import Spread, table

from .plot import number
from .rounds import Contestant, Results

PERCENTILES = ("p50", "p99", "p99.9")


def spread_cells(spread: Spread) -> list[str]:
    return [number(spread.median), f"{number(spread.lowest)} to {number(spread.highest)}"]


def contestants_table(contestants: Sequence[Contestant], results: Results) -> str:
    def milliseconds(name: str, percentile: str) -> str:
        value = results.latency(name, percentile)
        return "" if value is None else f"{value:.2f}"

    return table(
        ["what", "", "per second", "lowest to highest", *(f"{percentile} ms" for percentile in PERCENTILES)],
        [[contestant.name, contestant.does, *spread_cells(results.rate(contestant.name)),
          *(milliseconds(contestant.name, percentile) for percentile in PERCENTILES)] for contestant in contestants],
        words=2)


def ratios_table(results: Results, pairs: Sequence[tuple[str, str]]) -> str:
    """A table of the ratios. Leaves out pairs that were not both measured."""
    return table(
        ["ratio", "median", "lowest to highest"],
        [[f"{name} ÷ {to}", *spread_cells(results.ratio(name, to))] for name, to in pairs
         if name in results and to in results])


class Report:
    """A page in the results folder."""

    def __init__(self, folder: Path, name: str, title: str, machine: Sequence[str]) -> None:
        self.folder = folder
        self.name = name
        self.problems: list[str] = []
        self._parts = [f"# {title}", "\n".join(f"- {line}" for line in machine)]

    def add(self, part: str) -> None:
        self._parts.append(part)

    def chart(self, name: str) -> Path:
        """Adds a chart to the page; returns the path of its file."""
        self.add(f"![{name}]({self.name}-{name}.svg)")
        return self.folder / f"{self.name}-{name}.svg"

    def finish(self, results: Results, audits: dict[str, str]) -> list[str]:
        """Writes and prints the page; returns the problems. With a problem, the figures are not valid."""
        self.problems += [
            f"{name}: {count:,} responses were unexpected or later than 10 s"
            for name, count in results.faults().items()]
        self.problems += [f"audit of {name}: {complaint}" for name, complaint in audits.items() if complaint]
        for problem in self.problems:
            self.add(f"**PROBLEM: {problem}**")
        if not self.problems:
            self.add(f"Checks: every response was the expected one; `flashsale audit` is clean ({', '.join(audits)}).")
        page = "\n\n".join(self._parts) + "\n"
        (self.folder / f"{self.name}.md").write_text(page)
        print(page)
        return self.problems
