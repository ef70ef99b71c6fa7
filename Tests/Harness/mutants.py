"""Bugs in SQL functions, made by replacing text. A check that none of them fails checks nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from .processes import HarnessError
from .services import ROOT

FUNCTIONS = ROOT / "sql/functions"


@dataclass(frozen=True)
class Mutant:
    name: str
    function: str = ""
    # The texts to replace, each of which the function has once, and what stands there instead.
    changes: tuple[tuple[str, str], ...] = ()
    # What must fail: test suites of Swift in Tests/Mutants, words of violations in Tests/Reliability.
    caught_by: tuple[str, ...] = ()

    def sql(self) -> str:
        """The function with its bug."""
        text = (FUNCTIONS / f"{self.function}.sql").read_text()
        for present, instead in self.changes:
            if (count := text.count(present)) != 1:
                raise HarnessError(f"{self.name}: {self.function}.sql has this {count} times: {present}")
            text = text.replace(present, instead)
        return text


def misfits(mutants: Iterable[Mutant]) -> list[str]:
    """Which bugs do not fit the present functions."""
    found = []
    for mutant in mutants:
        try:
            if mutant.function and mutant.sql() == (FUNCTIONS / f"{mutant.function}.sql").read_text():
                found.append(f"{mutant.name}: changes nothing")
        except (HarnessError, OSError) as error:
            found.append(str(error))
    return found
