"""Measures contestants in rounds, so a disturbance of the machine affects all of them."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.output import Spread, tell
from harness.wrk import Sample


@dataclass(frozen=True)
class Contestant:
    name: str
    does: str
    measure: Callable[[float], Sample]  # takes the seconds of a measurement


class Results:
    def __init__(self, samples: dict[str, list[Sample]]) -> None:
        self.samples = samples

    def __contains__(self, name: str) -> bool:
        return name in self.samples

    def rate(self, name: str) -> Spread:
        return Spread.of([sample.rate for sample in self.samples[name]])

    def latency(self, name: str, percentile: str) -> float | None:
        """The median of the rounds in milliseconds; None if the percentile was not measured."""
        values = [sample.latencies[percentile] for sample in self.samples[name] if percentile in sample.latencies]
        return statistics.median(values) if values else None

    def ratio(self, name: str, to: str) -> Spread:
        """The ratio of the rates in each round. A disturbance of the whole round cancels out."""
        return Spread.of([
            mine.rate / other.rate for mine, other in zip(self.samples[name], self.samples[to], strict=True)])

    def faults(self) -> dict[str, int]:
        """Unexpected responses, by contestant."""
        counts = {name: sum(sample.faults for sample in samples) for name, samples in self.samples.items()}
        return {name: count for name, count in counts.items() if count > 0}


def measure(contestants: Sequence[Contestant], rounds: int, seconds: float) -> Results:
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for number in range(1, rounds + 1):
        for contestant in contestants:
            tell(f"round {number} of {rounds}: {contestant.name}")
            samples[contestant.name].append(contestant.measure(seconds))
    return Results(samples)
