"""Fewer cells for the same numbers: a step that only one other reads, as a whole, is written into that one.

A cell takes LibreOffice about a microsecond at every edit even if it only says that it is not to be computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from gpt2xl.formula.tree import Call, Name, Node, transform, walk
from gpt2xl.plan.document import Entry

# What takes the place of a step and not its values.
_PLACES = ("AT", "ROW_OF", "COLUMN_OF", "PART")


@dataclass(frozen=True)
class Step:
    """A step, its formulas parsed: its name, the way in which it is written, and the first formula of a triangle."""

    entry: Entry
    name: str
    way: str
    tree: Node
    first: Node | None = None


def fused(steps: Sequence[Step], kept: Collection[str]) -> list[Step]:
    """The steps in their order, those left out whose formula stands in another one's.

    A step goes where it is a block without named parts, is not to be `kept`, and is another step under a new name or is
    read by one block only, and as a whole. The numbers are the same, operation by operation; where the reader has the
    name several times, so often they are computed.
    """
    found = list(steps)
    for step in steps:
        if step.way != "block" or step.name in kept or step.entry.columns or step.entry.parts or step.entry.labels:
            continue
        (here,) = (other for other in found if other.entry is step.entry)
        users = [other for other in found if any(node == Name(step.name) for node in _nodes(other))]
        if isinstance(here.tree, Name) or _one_block(users, step.name):
            found = [_written(other, here) for other in found if other.entry is not step.entry]
    return found


def _one_block(users: Sequence[Step], name: str) -> bool:
    """Whether one block alone reads `name`, and its values only."""
    if len(users) != 1 or users[0].way != "block":
        return False
    places = [node for node in walk(users[0].tree) if isinstance(node, Call) and node.name in _PLACES]
    return not any(Name(name) in place.arguments for place in places)


def _nodes(step: Step) -> Iterator[Node]:
    yield from walk(step.tree)
    if step.first is not None:
        yield from walk(step.first)


def _written(step: Step, inner: Step) -> Step:
    """`step` with the formula of `inner` in place of its name."""

    def write(node: Node) -> Node:
        return inner.tree if node == Name(inner.name) else node

    return replace(
        step,
        tree=transform(step.tree, write),
        first=None if step.first is None else transform(step.first, write),
    )
