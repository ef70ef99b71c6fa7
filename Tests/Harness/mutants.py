"""Bugs in SQL functions, made by replacing text. A check that none of them fails checks nothing."""

from dataclasses import dataclass

from .processes import HarnessError
from .services import ROOT

FUNCTIONS = ROOT / "sql/functions"


@dataclass(frozen=True)
class Mutant:
    name: str
    function: str = ""
    # The texts to replace in the function, each once, and what stands there instead.
    changes: tuple[tuple[str, str], ...] = ()
    # What must fail: test suites of Swift in Tests/Mutants, words of violations in Tests/Reliability.
    caught_by: tuple[str, ...] = ()

    def sql(self) -> str:
        """The function with its bug."""
        text = (FUNCTIONS / f"{self.function}.sql").read_text()
        for present, instead in self.changes:
            if present not in text:
                raise HarnessError(f"{self.function}.sql no longer has: {present}")
            text = text.replace(present, instead, 1)
        return text
