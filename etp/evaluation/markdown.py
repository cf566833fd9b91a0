"""Markdown tables and the cells of results in them."""

from collections.abc import Iterable, Sequence
from typing import Any

EMPTY = "-"
OUTSIDE = "†"
OUTSIDE_NOTE = (
    f"{OUTSIDE} The value lies outside its own interval: resampling patients moves this metric to one side, as where a "
    "class is rare. The interval says how far it spreads, not where it lies."
)


def percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A share as percent with one decimal, its interval in brackets."""
    if value is None:
        return EMPTY
    if interval is None or None in interval:
        return f"{100 * value:.1f}"
    outside = "" if interval[0] <= value <= interval[1] else f" {OUTSIDE}"
    return f"{100 * value:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]{outside}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table whose columns also line up as plain text, and what its marks mean under it."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    notes = ["", OUTSIDE_NOTE] if any(OUTSIDE in cell for row in table for cell in row) else []
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:], *notes])


def cell(metrics: dict[str, Any] | None, name: str) -> str:
    """A figure of a report as percent, with its interval where it has one."""
    if metrics is None:
        return EMPTY
    return percent(metrics.get(name), metrics.get("intervals_95", {}).get(name))


def named(result: dict[str, Any]) -> tuple[str, str]:
    """Name and weights of a run, the first columns of most tables."""
    return result["name"], f"`{result['checkpoint_sha256'][:12]}`"
