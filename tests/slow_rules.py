"""The specification's formulas a second time, for comparison: exact fractions, error numbers, plain recursion."""

from fractions import Fraction


class Refused(Exception):
    """The specification's error number."""


def fits(value: Fraction | int) -> int:
    whole = value.numerator // value.denominator
    if whole > 2**64 - 1:
        raise Refused(6033)
    if whole < 0:
        raise Refused(6034)
    return whole


def over(a: int, b: int) -> int:
    if b == 0:
        raise Refused(6035)
    return fits(Fraction(a * 10**9, b))


def times(a: int, b: int) -> int:
    return fits(Fraction(a * b, 10**9))


def slow_exp(x: int) -> int:
    if x > 20 * 10**9:
        raise Refused(6039)
    x_squared_twelfth = times(x, x) // 12
    return over(10**9 + x // 2 + x_squared_twelfth, 10**9 + x_squared_twelfth - x // 2)


def slow_ln(x: int) -> int:
    if x == 0:
        raise Refused(6040)
    return 0 if x == 10**9 else fits(slow_ln_unbounded(x, 0))


def slow_ln_unbounded(x: int, halvings: int) -> int:
    if x >= 2 * 10**9:
        return slow_ln_unbounded(x // 2, halvings + 1)
    if x < 10**9 // 2:
        return slow_ln_unbounded(2 * x, halvings - 1)
    ratio = x if x >= 10**9 else over(10**9, x)
    y = over(ratio - 10**9, ratio + 10**9)
    cube = times(times(y, y), y)
    fifth = times(cube, times(y, y))
    return 2 * (y + cube // 3 + fifth // 5) + halvings * 693_147_180


def slow_cost(qy: int, qn: int, b: int) -> int:
    if b < 100 * 10**9:
        raise Refused(6042)
    x, y = over(qy, b), over(qn, b)
    lead = max(x, y) - min(x, y)
    return times(b, fits(max(x, y) + slow_ln(10**9 + over(10**9, slow_exp(lead)))))


def slow_price(qy: int, qn: int, b: int) -> int:
    if b < 100 * 10**9:
        raise Refused(6042)
    if qn > qy:
        return over(10**9, 10**9 + slow_exp(over(qn - qy, b)))
    e = slow_exp(over(qy - qn, b))
    return over(e, e + 10**9)


def slow_buy(qy: int, qn: int, b: int, outcome: bool, budget: int) -> tuple[int, int]:
    before = slow_cost(qy, qn, b)

    def rise(n: int) -> int:
        after = (fits(qy + n), qn) if outcome else (qy, fits(qn + n))
        return fits(slow_cost(*after, b) - before)

    def narrowed(low: int, high: int, rounds: int) -> int:
        if rounds == 0 or high - low <= 1_000_000:
            return low
        middle = low + (high - low) // 2
        cost = rise(middle)
        if cost == budget:
            return middle
        return narrowed(middle + 1, high, rounds - 1) if cost < budget else narrowed(low, middle, rounds - 1)

    shares = narrowed(0, fits(20 * b), 50)
    return rise(shares), shares


def slow_sell(qy: int, qn: int, b: int, outcome: bool, n: int) -> int:
    if n > (qy if outcome else qn):
        raise Refused(6014)
    rest = (qy - n, qn) if outcome else (qy, qn - n)
    return fits(slow_cost(qy, qn, b) - slow_cost(*rest, b))


def slow_split(amount: int, p: int, r: int, l: int) -> tuple[int, int, int, int]:  # noqa: E741
    total = fits(amount * (p + r + l)) // 10_000
    if p + r + l == 0:
        raise Refused(6035)
    protocol, resolver = fits(total * p) // (p + r + l), fits(total * r) // (p + r + l)
    return protocol, resolver, total - protocol - resolver, total
