"""Rounding (ECMA-376 part 1, 18.17.7; CEILING.MATH and what follows it from Microsoft's pages)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpt2xl.formula.coerce import merge
from gpt2xl.formula.functions.ranges import wrong
from gpt2xl.formula.registry import alias, elementwise
from gpt2xl.formula.values import DIV0, NUM

Numbers = Any  # arrays of numbers, and pairs of them with their errors


def _scaled(x: Numbers, digits: Numbers, rounding: Any) -> Numbers:
    """Round the decimal that a number shows with 15 digits, not the double beneath it: ROUND(2.675, 2) is 2.68."""
    x, digits = np.broadcast_arrays(x, np.trunc(digits))
    scale = 10.0 ** np.clip(np.abs(digits), 0, 308)
    with np.errstate(all="ignore"):
        shifted = np.where(digits >= 0, x * scale, x / scale)
        near = _fifteen(shifted)
        result = rounding(near)
        result = np.where(digits >= 0, result / scale, result * scale)
    result = np.where(digits < -308, 0.0, result)
    return np.where((np.abs(x) >= 1e15) & (digits >= 0) | ~np.isfinite(shifted), x, result)


def _fifteen(x: Numbers) -> Numbers:
    """The nearest integer or half where a number is within 15 digits of it."""
    twice = np.rint(x * 2)
    close = np.abs(x * 2 - twice) <= np.abs(twice) * 2e-15
    return np.where(close, twice / 2, x)


def _half_away(x: Numbers) -> Numbers:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _away(x: Numbers) -> Numbers:
    return np.copysign(np.ceil(np.abs(x)), x)


@elementwise("ROUND", "nn")
def round_(x: Numbers, digits: Numbers) -> Numbers:
    """ROUND(number, digits): halves away from zero (ECMA-376, 18.17.7)."""
    return _scaled(x, digits, _half_away)


@elementwise("ROUNDDOWN", "nn")
def rounddown(x: Numbers, digits: Numbers) -> Numbers:
    """ROUNDDOWN(number, digits): towards zero (ECMA-376, 18.17.7)."""
    return _scaled(x, digits, np.trunc)


@elementwise("ROUNDUP", "nn")
def roundup(x: Numbers, digits: Numbers) -> Numbers:
    """ROUNDUP(number, digits): away from zero (ECMA-376, 18.17.7)."""
    return _scaled(x, digits, _away)


@elementwise("TRUNC", "nn?")
def trunc(x: Numbers, digits: Numbers = 0.0) -> Numbers:
    """TRUNC(number, [digits]) (ECMA-376, 18.17.7)."""
    return np.trunc(x) if isinstance(digits, float) else _scaled(x, digits, np.trunc)


@elementwise("EVEN", "n")
def even(x: Numbers) -> Numbers:
    """EVEN(number): the next even integer away from zero (ECMA-376, 18.17.7)."""
    return np.copysign(2 * np.ceil(np.abs(x) / 2), x)


@elementwise("ODD", "n")
def odd(x: Numbers) -> Numbers:
    """ODD(number): the next odd integer away from zero (ECMA-376, 18.17.7)."""
    return np.copysign(np.maximum(2 * np.ceil((np.abs(x) - 1) / 2) + 1, 1), x)


def _multiple(x: Numbers, step: Numbers, towards: Any) -> Numbers:
    with np.errstate(all="ignore"):
        ratio = x / np.where(step == 0, 1.0, step)
        near = np.rint(ratio)
        ratio = np.where(np.abs(ratio - near) <= np.abs(near) * 1e-15, near, ratio)
        return np.where(step == 0, 0.0, towards(ratio) * step)


@elementwise("CEILING", "nn")
def ceiling(x: Numbers, step: Numbers) -> Numbers:
    """CEILING(number, significance): `#NUM!` for a positive number and a negative step (ECMA-376, 18.17.7)."""
    return _multiple(x, step, np.ceil), wrong((x > 0) & (step < 0), NUM)


@elementwise("FLOOR", "nn")
def floor(x: Numbers, step: Numbers) -> Numbers:
    """FLOOR(number, significance): `#NUM!` as CEILING; a step of 0 is `#DIV/0!` (ECMA-376, 18.17.7)."""
    errors = merge(wrong((x > 0) & (step < 0), NUM), wrong((step == 0) & (x != 0), DIV0))
    return _multiple(x, step, np.floor), errors


@elementwise("MROUND", "ss")
def mround(x: Numbers, step: Numbers) -> Numbers:
    """MROUND(number, multiple): both of one sign (ECMA-376, 18.17.7)."""
    return _multiple(x, step, _half_away), wrong(x * step < 0, NUM)


def _mathematical(name: str, up: bool) -> None:
    def apply(x: Numbers, step: Numbers = 1.0, away: Numbers = 0.0) -> Numbers:
        size = np.abs(step)
        backwards = (x < 0) & (away != 0)
        one, other = (np.ceil, np.floor) if up else (np.floor, np.ceil)
        return np.where(backwards, _multiple(x, size, other), _multiple(x, size, one))

    apply.__doc__ = (
        f"{name}(number, [significance], [mode]): {'up' if up else 'down'}, or for a negative number and a mode the "
        f"other way (Microsoft, {name})."
    )
    elementwise(name, "nn?n")(apply)


_mathematical("CEILING.MATH", True)
_mathematical("FLOOR.MATH", False)


def _precise(name: str, up: bool) -> None:
    def apply(x: Numbers, step: Numbers = 1.0) -> Numbers:
        return _multiple(x, np.abs(step), np.ceil if up else np.floor)

    apply.__doc__ = f"{name}(number, [significance]): {'up' if up else 'down'}, whatever the signs (Microsoft, {name})."
    elementwise(name, "nn?")(apply)


_precise("CEILING.PRECISE", True)
_precise("FLOOR.PRECISE", False)
alias("ISO.CEILING", "CEILING.PRECISE")
