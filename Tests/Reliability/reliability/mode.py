"""What the command line knows of a mode."""

import argparse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Mode:
    summary: str  # a line for --help
    # Returns the violations. The folder is the mode's own, and is kept if there are violations.
    run: Callable[[argparse.Namespace, Path], Awaitable[list[str]]]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)  # arguments of `add_argument`, by flag
