"""Probability distributions (ECMA-376 part 1, 18.17.7 under their older names; Microsoft's pages for the others)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from gpt2xl.formula.registry import alias, per_cell
from gpt2xl.formula.values import NUM, ExcelError

if TYPE_CHECKING:
    from collections.abc import Callable

_STANDARD = NormalDist()
_SUMMED = 1_000  # so many terms are added up, more are an integral
_TINY = 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I(x; a, b), by its continued fraction (DLMF 8.17.22; Lentz's method)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a

    def term(index: int) -> float:
        half, odd = divmod(index, 2)
        if odd:
            return -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        return half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))

    return front / _continued(term, lambda _: 1.0)


def incomplete_gamma(a: float, x: float) -> float:
    """The regularized lower incomplete gamma function P(a, x), by its series or its continued fraction
    (DLMF 8.7.1, 8.9.2)."""
    if x <= 0:
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        total = part = 1.0 / a
        index = a
        while part > total * 1e-17:
            index += 1
            part *= x / index
            total += part
        return total * front
    return 1.0 - front / _continued(lambda index: -index * (index - a), lambda index: x + 2 * index + 1 - a)


def _continued(above: Callable[[int], float], below: Callable[[int], float]) -> float:
    """below(0) + above(1) / (below(1) + above(2) / ...)."""
    value = below(0) or _TINY
    up, down = value, 0.0
    for index in range(1, 10_000):
        down = 1.0 / ((below(index) + above(index) * down) or _TINY)
        up = (below(index) + above(index) / up) or _TINY
        value *= up * down
        if abs(up * down - 1.0) < 1e-16:
            break
    return value


def _integral(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@per_cell("NORM.DIST", "nnnb")
def norm_dist(x: float, mean: float, deviation: float, cumulative: bool) -> float | ExcelError:
    """NORM.DIST(x, mean, standard_dev, cumulative) (ECMA-376, 18.17.7: NORMDIST)."""
    if deviation <= 0:
        return NUM
    z = (x - mean) / deviation
    return _integral(z) if cumulative else _density(z) / deviation


@per_cell("NORM.S.DIST", "nb")
def norm_s_dist(z: float, cumulative: bool) -> float:
    """NORM.S.DIST(z, cumulative) (Microsoft, NORM.S.DIST)."""
    return _integral(z) if cumulative else _density(z)


@per_cell("NORM.INV", "nnn")
def norm_inv(share: float, mean: float, deviation: float) -> float | ExcelError:
    """NORM.INV(probability, mean, standard_dev) (ECMA-376, 18.17.7: NORMINV)."""
    if not 0 < share < 1 or deviation <= 0:
        return NUM
    return mean + deviation * _quantile(share)


@per_cell("NORM.S.INV", "n")
def norm_s_inv(share: float) -> float | ExcelError:
    """NORM.S.INV(probability) (ECMA-376, 18.17.7: NORMSINV)."""
    return _quantile(share) if 0 < share < 1 else NUM


def _quantile(share: float) -> float:
    return 0.0 if share == 0.5 else _STANDARD.inv_cdf(share)


alias("NORMDIST", "NORM.DIST")
alias("NORMINV", "NORM.INV")
alias("NORMSINV", "NORM.S.INV")


@per_cell("PHI", "n")
def phi(z: float) -> float:
    """PHI(x): the standard normal density (Microsoft, PHI)."""
    return _density(z)


@per_cell("GAUSS", "n")
def gauss(z: float) -> float:
    """GAUSS(z): between the mean and z standard deviations (Microsoft, GAUSS)."""
    return 0.5 * math.erf(z / math.sqrt(2))


@per_cell("BINOM.DIST", "nnnb")
def binom_dist(hits: float, tries: float, share: float, cumulative: bool) -> float | ExcelError:
    """BINOM.DIST(number_s, trials, probability_s, cumulative) (ECMA-376, 18.17.7: BINOMDIST)."""
    k, n = int(hits), int(tries)
    if hits < 0 or k > n or n >= 2**53 or not 0 <= share <= 1:
        return NUM
    if not cumulative:
        return _binomial(k, n, share)
    if n <= _SUMMED:
        return min(1.0, math.fsum(_binomial(i, n, share) for i in range(k + 1)))
    return 1.0 if k == n else incomplete_beta(n - k, k + 1, 1 - share)


def _binomial(k: int, n: int, share: float) -> float:
    if share in (0.0, 1.0):
        return float(k == n * share)
    if n <= _SUMMED:
        return math.comb(n, k) * share**k * (1 - share) ** (n - k)
    logarithm = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(logarithm + k * math.log(share) + (n - k) * math.log1p(-share))


alias("BINOMDIST", "BINOM.DIST")


@per_cell("POISSON.DIST", "nnb")
def poisson_dist(events: float, mean: float, cumulative: bool) -> float | ExcelError:
    """POISSON.DIST(x, mean, cumulative) (ECMA-376, 18.17.7: POISSON)."""
    k = int(events)
    if events < 0 or mean < 0:
        return NUM
    if not cumulative:
        return _poisson(k, mean)
    if k <= _SUMMED:
        return min(1.0, math.fsum(_poisson(i, mean) for i in range(k + 1)))
    return 1.0 - incomplete_gamma(k + 1.0, mean)


def _poisson(k: int, mean: float) -> float:
    return float(k == 0) if mean == 0 else math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))


alias("POISSON", "POISSON.DIST")


@per_cell("EXPON.DIST", "nnb")
def expon_dist(x: float, rate: float, cumulative: bool) -> float | ExcelError:
    """EXPON.DIST(x, lambda, cumulative) (ECMA-376, 18.17.7: EXPONDIST)."""
    if x < 0 or rate <= 0:
        return NUM
    return -math.expm1(-rate * x) if cumulative else rate * math.exp(-rate * x)


alias("EXPONDIST", "EXPON.DIST")


@per_cell("CONFIDENCE.NORM", "nnn")
def confidence_norm(alpha: float, deviation: float, size: float) -> float | ExcelError:
    """CONFIDENCE.NORM(alpha, standard_dev, size): half of the interval's width (ECMA-376, 18.17.7: CONFIDENCE)."""
    if not 0 < alpha < 1 or deviation <= 0 or int(size) < 1:
        return NUM
    return -_quantile(alpha / 2) * deviation / math.sqrt(int(size))


alias("CONFIDENCE", "CONFIDENCE.NORM")


@per_cell("FISHER", "n")
def fisher(x: float) -> float | ExcelError:
    """FISHER(x): the area tangent of a correlation (ECMA-376, 18.17.7)."""
    return math.atanh(x) if -1 < x < 1 else NUM


@per_cell("FISHERINV", "n")
def fisherinv(y: float) -> float:
    """FISHERINV(y) (ECMA-376, 18.17.7)."""
    return math.tanh(y)


@per_cell("GAMMA", "n")
def gamma(x: float) -> float | ExcelError:
    """GAMMA(number): whole numbers below 1 have none (Microsoft, GAMMA)."""
    try:
        return math.gamma(x)
    except (ValueError, OverflowError):
        return NUM
