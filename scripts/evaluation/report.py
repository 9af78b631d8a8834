"""The report: cells, tables, and their places in a page; what stands between the marks is written here alone.

Knows the form of docs/evaluation.json and of the marks in docs/evaluation.md.
Must not know what is measured.

A table is {"header": [text…], "rows": [[cell…]…]}. A cell is plain text, or {"text", "values"} where every number
in the text is one of the values, in their order, rounded: a test of the repository holds the page to that.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Sequence

Cell = str | dict
Table = dict

NOTHING = "–"

EMPTY_PAGE_BLOCK = "Not measured yet."

_BLOCK = re.compile(r"(<!-- generated:([a-z0-9-]+) -->\n).*?(<!-- end:\2 -->)", re.DOTALL)


def number(value: float | None, digits: int = 3) -> Cell:
    """A figure: `.967`; a dash where there is none."""
    return _cell([value], digits, "{}")


def interval(figure: Sequence[float | None], digits: int = 3) -> Cell:
    """A figure with its interval: `.967 [.950, .980]`."""
    value, low, high = figure
    if _shown(low, digits) is NOTHING:
        return number(value, digits)
    return _cell([value, low, high], digits, "{} [{}, {}]")


def ratio(hits: float, trials: float) -> Cell:
    """A count of another: `41.5 / 836`; hits can be a mean over orders."""
    digits = 0 if float(hits).is_integer() else 1
    return {"text": f"{_shown(hits, digits)} / {_shown(trials, 0)}", "values": [round(hits, 6), trials]}


def several(values: Sequence[float | None], digits: int | None = None) -> Cell:
    """Figures side by side: `.95 / .60 / – / .93`."""
    return _cell(values, digits, " / ".join(["{}"] * len(values)))


def plain(cell: Cell) -> str:
    """The text of a cell."""
    return cell if isinstance(cell, str) else cell["text"]


def _cell(values: Sequence[float | None], digits: int | None, form: str) -> Cell:
    shown = [_shown(value, digits) for value in values]
    kept = [value for value in values if value is not None and math.isfinite(value)]
    return {"text": form.format(*shown), "values": kept}


def _shown(value: float | None, digits: int | None) -> str:
    """Without the zero before the point; `digits` None: as many as the number has."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞"
    text = f"{value:g}" if digits is None else f"{value:.{digits}f}"
    if "." in text and float(text) == 0:
        text = text.removeprefix("-")
    return re.sub(r"^(-?)0\.", r"\1.", text)


def markdown(table: Table) -> str:
    """The table in Markdown; the first column to the left, the others to the right."""
    lines = [table["header"], ["---"] + ["---:"] * (len(table["header"]) - 1)]
    lines += [[plain(cell) for cell in row] for row in table["rows"]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def fill(page: str, tables: dict[str, Table]) -> str:
    """The page with every marked block written anew; what stands around the blocks stays.

    Raises ValueError where a table has no block in the page.
    """
    found = {match[2] for match in _BLOCK.finditer(page)}
    if missing := sorted(tables.keys() - found):
        raise ValueError(f"the page has no <!-- generated:NAME --> … <!-- end:NAME --> for {', '.join(missing)}: add it")

    def block(match: re.Match) -> str:
        name = match[2]
        return match[1] + (markdown(tables[name]) if name in tables else EMPTY_PAGE_BLOCK + "\n") + match[3]

    return _BLOCK.sub(block, page)


def storable(value: object) -> object:
    """The same value in JSON's means: NaN as null, infinity as text, floats to nine digits."""
    if isinstance(value, dict):
        return {str(name): storable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(part) for part in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return ("infinity" if value > 0 else "-infinity") if math.isinf(value) else float(f"{value:.9g}")
    return value


def stored(value: object) -> object:
    """The inverse of `storable` for one figure."""
    return {"infinity": math.inf, "-infinity": -math.inf}.get(value, value) if isinstance(value, str) else value


def load(path: Path) -> dict:
    """The stored results; empty ones where there is no file yet."""
    if not path.exists():
        return {"sections": {}, "tables": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def save(path: Path, results: dict) -> None:
    """Stores the results, one table row a line, so that a change reads well in a diff."""
    text = json.dumps(storable(results), indent=1, ensure_ascii=False, allow_nan=False)
    flat = re.sub(r"\[[^\[\]{}]*\]", lambda match: re.sub(r"\s*\n\s*", " ", match[0]), text)
    path.write_text(flat + "\n", encoding="utf-8")
