"""Loans, savings and cash flows (ECMA-376 part 1, 18.17.7; RRI and PDURATION from Microsoft's pages).

Payments that are received are positive, those that are made negative. ``when`` is 0 for payments at the end of each
period, anything else for its beginning.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.formula import coerce
from gpt2xl.formula.functions.ranges import by_lane, joined, sample, wrong
from gpt2xl.formula.registry import Context, per_cell, whole
from gpt2xl.formula.values import DIV0, NUM, VALUE, ExcelError, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _growth(rate: float, periods: float) -> tuple[float, float]:
    """(1 + rate)^periods and the worth of payments of 1 at the end of each period, both at the last period's end.

    Through log1p and expm1, so that a rate of 1e-12 loses no digits.
    """
    if rate == 0:
        return 1.0, periods
    if rate <= -1:
        power = (1 + rate) ** periods
        return power, (power - 1) / rate
    exponent = periods * math.log1p(rate)
    return math.exp(exponent), math.expm1(exponent) / rate


def _finite(compute: Callable[..., float]) -> Callable[..., float | ExcelError]:
    """What overflows or has no real value is `#NUM!`, and so is a payment or a time that would divide by nothing."""

    def apply(*arguments: float) -> float | ExcelError:
        try:
            result = compute(*arguments)
        except ZeroDivisionError:
            return NUM if compute.__name__ in ("pmt", "nper", "ipmt", "ppmt") else DIV0
        except (ArithmeticError, ValueError):
            return NUM
        return result if isinstance(result, float) and math.isfinite(result) else NUM

    apply.__doc__ = compute.__doc__
    return apply


@per_cell("FV", "nnnn?n")
@_finite
def fv(rate: float, periods: float, payment: float, present: float = 0, when: float = 0) -> float:
    """FV(rate, nper, pmt, [pv], [type]): the worth after the last period (ECMA-376, 18.17.7)."""
    power, annuity = _growth(rate, periods)
    return -(present * power + payment * (1 + rate * (when != 0)) * annuity)


@per_cell("PV", "nnnn?n")
@_finite
def pv(rate: float, periods: float, payment: float, future: float = 0, when: float = 0) -> float:
    """PV(rate, nper, pmt, [fv], [type]): the worth today (ECMA-376, 18.17.7)."""
    power, annuity = _growth(rate, periods)
    return -(future + payment * (1 + rate * (when != 0)) * annuity) / power


def _payment(rate: float, periods: float, present: float, future: float, when: float) -> float:
    if rate <= -1:
        raise ValueError
    power, annuity = _growth(rate, periods)
    return -(future + present * power) / (annuity * (1 + rate * (when != 0)))


@per_cell("PMT", "nnnn?n")
@_finite
def pmt(rate: float, periods: float, present: float, future: float = 0, when: float = 0) -> float:
    """PMT(rate, nper, pv, [fv], [type]): the payment of each period (ECMA-376, 18.17.7)."""
    return _payment(rate, periods, present, future, when)


def _interest(rate: float, period: float, periods: float, present: float, future: float, when: float) -> float:
    """The interest in the payment of one period."""
    if not 1 <= period < periods + 1:
        raise ValueError
    if when and period == 1:
        return 0.0
    payment = _payment(rate, periods, present, future, when)
    if not when:
        power, annuity = _growth(rate, period - 1)
        return -(present * power + payment * annuity) * rate
    # What is owed after the payment at the beginning of this period, which carries no interest of its own.
    power, annuity = _growth(rate, period - 2)
    return -(present * power + payment * (1 + rate) * annuity + payment) * rate


@per_cell("IPMT", "nnnnn?n")
@_finite
def ipmt(rate: float, period: float, periods: float, present: float, future: float = 0, when: float = 0) -> float:
    """IPMT(rate, per, nper, pv, [fv], [type]): the interest in the payment of a period (ECMA-376, 18.17.7)."""
    return _interest(rate, period, periods, present, future, when)


@per_cell("PPMT", "nnnnn?n")
@_finite
def ppmt(rate: float, period: float, periods: float, present: float, future: float = 0, when: float = 0) -> float:
    """PPMT(rate, per, nper, pv, [fv], [type]): what the payment of a period pays back (ECMA-376, 18.17.7)."""
    interest = _interest(rate, period, periods, present, future, when)
    return _payment(rate, periods, present, future, when) - interest


@per_cell("NPER", "nnnn?n")
@_finite
def nper(rate: float, payment: float, present: float, future: float = 0, when: float = 0) -> float:
    """NPER(rate, pmt, pv, [fv], [type]): how many periods it takes (ECMA-376, 18.17.7)."""
    if rate == 0:
        return -(present + future) / payment
    each = payment * (1 + rate * (when != 0))
    return math.log((each - future * rate) / (each + present * rate)) / math.log1p(rate)


@per_cell("RATE", "nnnn?nn")
@_finite
def rate_(
    periods: float, payment: float, present: float, future: float = 0, when: float = 0, guess: float = 0.1
) -> float:
    """RATE(nper, pmt, pv, [fv], [type], [guess]): the interest of a period; `#NUM!` where none is found
    (ECMA-376, 18.17.7)."""
    if periods <= 0:
        raise ValueError

    def missing(rate: float) -> float:
        power, annuity = _growth(rate, periods)
        return present * power + payment * (1 + rate * (when != 0)) * annuity + future

    return _root(missing, guess)


def _root(function: Callable[[float], float], guess: float) -> float:
    """A rate above -1 at which a function is 0: by secants from a guess, and between two rates of opposite signs where
    those lead nowhere; `ValueError` where there is none."""
    low, high = guess, guess + 0.01
    try:
        first, second = function(low), function(high)
        for _ in range(60):
            if second == 0 or abs(high - low) <= 1e-15 * max(1.0, abs(high)):
                return high
            if second == first:
                break
            low, high = high, high - second * (high - low) / (second - first)
            if high <= -1:
                break
            first, second = second, function(high)
    except (OverflowError, ZeroDivisionError):
        pass
    return _bisected(function)


def _bisected(function: Callable[[float], float]) -> float:
    grid = [-0.99, -0.9, -0.7, -0.5, -0.3, -0.1, -0.01, 1e-9, 0.01, 0.1, 0.3, 0.7, 1.5, 4.0, 10.0, 100.0]
    values = []
    for rate in grid:
        try:
            values.append(function(rate))
        except OverflowError:
            values.append(math.nan)
    for left, right in zip(range(len(grid)), range(1, len(grid)), strict=False):
        low, high, at = grid[left], grid[right], values[left]
        if not at * values[right] <= 0:
            continue
        for _ in range(200):
            middle = (low + high) / 2
            value = function(middle)
            if (value > 0) == (at > 0):
                low, at = middle, value
            else:
                high = middle
        return (low + high) / 2
    raise ValueError


@whole("NPV", "nr*")
def npv(context: Context, rate: Value, *flows: Value) -> Value:
    """NPV(rate, value1, ...): the first value one period from now (ECMA-376, 18.17.7)."""
    rates, errors = coerce.numbers(context.pool, rate)
    found = joined(context, flows)
    lanes = max(len(rates), len(found.num))
    result = []
    for lane in range(lanes):
        own = lane if len(found.num) > 1 else 0
        numbers = found.num[own] if found.valid is None else found.num[own][found.valid[own]]
        base = 1 + float(rates[lane if len(rates) > 1 else 0].flat[0])
        with np.errstate(all="ignore"):
            result.append(float(np.sum(numbers / base ** np.arange(1, len(numbers) + 1, dtype=np.float64))))
    zero = wrong(rates[:, 0, 0] == -1, DIV0)
    own_errors = None if errors is None else errors[:, 0, 0]
    return by_lane(result, coerce.merge(coerce.merge(own_errors, found.errors), zero))


def _present(flows: Sequence[float], rate: float) -> float:
    total = 0.0
    for flow in reversed(flows):
        total = total / (1 + rate) + flow
    return total


@whole("IRR", "Rv?")
def irr(context: Context, values: Value, guess: Value | None = None) -> Value:
    """IRR(values, [guess]): the rate at which the flows are worth nothing; `#NUM!` without a payment or a receipt
    (ECMA-376, 18.17.7)."""
    found = sample(context, values)
    start: Any = np.full((1, 1, 1), 0.1)
    errors = found.errors
    if guess is not None:
        start, more = coerce.numbers(context.pool, guess)
        errors = coerce.merge(errors, None if more is None else more[:, 0, 0])
    result = []
    for lane, row in enumerate(found.num):
        flows = (row if found.valid is None else row[found.valid[lane]]).tolist()
        result.append(_irr(flows, float(start[lane if len(start) > 1 else 0].flat[0])))
    return by_lane(result, coerce.merge(errors, wrong(start[:, 0, 0] <= -1, VALUE)))


def _irr(flows: list[float], guess: float) -> float:
    if not (any(flow > 0 for flow in flows) and any(flow < 0 for flow in flows)):
        return math.nan
    try:
        return _root(lambda rate: _present(flows, rate), guess)
    except ValueError:
        return math.nan


@per_cell("SLN", "nnn")
def sln(cost: float, salvage: float, life: float) -> float | ExcelError:
    """SLN(cost, salvage, life): equal depreciation (ECMA-376, 18.17.7)."""
    return DIV0 if life == 0 else (cost - salvage) / life


@per_cell("SYD", "nnnn")
@_finite
def syd(cost: float, salvage: float, life: float, period: float) -> float:
    """SYD(cost, salvage, life, per): depreciation by the sum of the years' digits (ECMA-376, 18.17.7)."""
    if life <= 0 or period <= 0 or period > life or salvage < 0:
        raise ValueError
    return (cost - salvage) * (life - period + 1) * 2 / (life * (life + 1))


@per_cell("EFFECT", "ss")
@_finite
def effect(nominal: float, count: float) -> float:
    """EFFECT(nominal_rate, npery): the yearly rate (ECMA-376, 18.17.7)."""
    parts = int(count)
    if nominal <= 0 or parts < 1:
        raise ValueError
    return math.expm1(parts * math.log1p(nominal / parts))


@per_cell("NOMINAL", "ss")
@_finite
def nominal(effective: float, count: float) -> float:
    """NOMINAL(effect_rate, npery): the opposite of EFFECT (ECMA-376, 18.17.7)."""
    parts = int(count)
    if effective <= 0 or parts < 1:
        raise ValueError
    return parts * math.expm1(math.log1p(effective) / parts)


@per_cell("RRI", "nnn")
@_finite
def rri(periods: float, present: float, future: float) -> float:
    """RRI(nper, pv, fv): the rate that makes one of the other (Microsoft, RRI)."""
    if periods <= 0 or present == 0 or future / present < 0:
        raise ValueError
    return math.expm1(math.log(future / present) / periods) if future else -1.0


@per_cell("PDURATION", "nnn")
def pduration(rate: float, present: float, future: float) -> float | ExcelError:
    """PDURATION(rate, pv, fv): how many periods it takes (Microsoft, PDURATION)."""
    if rate <= 0 or present <= 0 or future <= 0:
        return NUM
    return math.log(future / present) / math.log1p(rate)
