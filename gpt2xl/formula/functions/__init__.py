"""The functions, one module a family; importing the package fills `gpt2xl.formula.registry.FUNCTIONS`.

Each docstring gives the function's source: ECMA-376 part 1, 18.17.7 (whose paragraphs are in the order of the names),
or Microsoft's page of a newer function.
"""

from gpt2xl.formula.functions import (
    bases,
    calendars,
    criteria,
    dates,
    distributions,
    engineering,
    finance,
    formats,
    index,
    information,
    logic,
    lookup,
    math,
    matrices,
    places,
    ranks,
    rounding,
    samples,
    statistics,
    text,
)

__all__ = [
    "bases",
    "calendars",
    "criteria",
    "dates",
    "distributions",
    "engineering",
    "finance",
    "formats",
    "index",
    "information",
    "logic",
    "lookup",
    "math",
    "matrices",
    "places",
    "ranks",
    "rounding",
    "samples",
    "statistics",
    "text",
]
