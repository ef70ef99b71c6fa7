"""SVG charts with bars or lines, for light and dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from harness.output import Spread

WIDTH, LEFT, RIGHT, TOP = 720, 70, 24, 56
LIGHT = ["#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989"]
DARK = ["#58a6ff", "#f0883e", "#56d364", "#bc8cff", "#f778ba"]


def colours(palette: Sequence[str], page: str, words: str, faint: str, grid: str) -> str:
    rules = [
        f".page {{ fill: {page} }} text {{ fill: {words} }} .faint {{ fill: {faint} }}",
        f".grid {{ stroke: {grid} }} .axis, .whisker {{ stroke: {faint} }}",
        *(f".s{index} {{ fill: {colour}; stroke: {colour} }}" for index, colour in enumerate(palette)),
    ]
    return "\n".join(rules)


STYLE = f"""
text {{ font: 13px system-ui, sans-serif }} .title {{ font-size: 16px; font-weight: 600 }} .faint {{ font-size: 12px }}
{colours(LIGHT, "#ffffff", "#24292f", "#57606a", "#d0d7de")}
@media (prefers-color-scheme: dark) {{
{colours(DARK, "#0d1117", "#e6edf3", "#9198a1", "#30363d")}}}"""


def number(value: float) -> str:
    """A number with about three significant digits."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ticks(highest: float) -> list[float]:
    """Round numbers from 0 to at least the highest value, four to eight of them."""
    rough = max(highest, 1e-9) / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    return [step * index for index in range(math.ceil(highest / step) + 1)]


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def segment(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def write(path: Path, title: str, height: float, parts: Sequence[str]) -> None:
    path.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}\n</style>",
        f'<rect class="page" width="{WIDTH}" height="{height:.0f}" rx="6"/>',
        text(24, 30, title, "title"), *parts, "</svg>\n"]))


def bars(path: Path, title: str, values: Mapping[str, Spread], unit: str) -> None:
    """Draws a bar for each median, and a whisker from the lowest to the highest value."""
    left, row = 190, 30
    scale = ticks(max(spread.highest for spread in values.values()))
    bottom = TOP + row * len(values)

    def x(value: float) -> float:
        return left + value / scale[-1] * (WIDTH - left - RIGHT - 50)

    parts = []
    for tick in scale:
        parts += [
            segment(x(tick), TOP, x(tick), bottom, "grid"),
            text(x(tick), bottom + 18, number(tick), "faint", "middle"),
        ]
    for index, (name, spread) in enumerate(values.items()):
        y = TOP + row * index
        parts += [
            text(left - 10, y + 20, name, anchor="end"),
            f'<rect class="s0" x="{left}" y="{y + 6}" width="{x(spread.median) - left:.1f}" height="18" rx="2"/>',
            segment(x(spread.lowest), y + 15, x(spread.highest), y + 15, "whisker"),
            segment(x(spread.lowest), y + 11, x(spread.lowest), y + 19, "whisker"),
            segment(x(spread.highest), y + 11, x(spread.highest), y + 19, "whisker"),
            text(x(max(spread.highest, spread.median)) + 6, y + 20, number(spread.median), "faint"),
        ]
    parts += [segment(left, TOP, left, bottom, "axis"), text(left, bottom + 38, unit, "faint")]
    write(path, title, bottom + 54, parts)


def lines(
    path: Path, title: str, x_unit: str, y_unit: str, steps: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
) -> None:
    """Draws a line for each name over evenly spaced steps. None is a gap."""
    bottom = 360
    scale = ticks(max(value for values in series.values() for value in values if value is not None))

    def x(index: int) -> float:
        return LEFT + 20 + index * (WIDTH - LEFT - RIGHT - 40) / max(1, len(steps) - 1)

    def y(value: float) -> float:
        return bottom - value / scale[-1] * (bottom - TOP - 30)

    parts = [text(24, TOP, y_unit, "faint")]
    for tick in scale:
        parts += [
            segment(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"),
            text(LEFT - 8, y(tick) + 4, number(tick), "faint", "end"),
        ]
    every = math.ceil(len(steps) / 12)  # so labels do not overlap
    parts += [text(x(index), bottom + 20, steps[index], "faint", "middle") for index in range(0, len(steps), every)]
    for index, (name, values) in enumerate(series.items()):
        points = [(x(place), y(value)) for place, value in enumerate(values) if value is not None]
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        kind, key = f"s{index % len(LIGHT)}", LEFT + 150 * index
        parts += [
            f'<polyline class="{kind}" style="fill: none; stroke-width: 2.5" points="{corners}"/>',
            *(f'<circle class="{kind}" cx="{a:.1f}" cy="{b:.1f}" r="4"/>' for a, b in points),
            f'<rect class="{kind}" x="{key}" y="{bottom + 58}" width="14" height="10" rx="2"/>',
            text(key + 20, bottom + 67, name),
        ]
    parts += [
        segment(LEFT, bottom, WIDTH - RIGHT, bottom, "axis"),
        text(WIDTH - RIGHT, bottom + 40, x_unit, "faint", "end"),
    ]
    write(path, title, bottom + 84, parts)
