"""Numbers as fractions: exact while they are computed, rounded where they are shown."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

from ...core import ToolError

MAX_BITS = 4096
"""Most bits of a numerator or denominator, so that no computation takes long."""
_SHOWN_DIGITS = 12
_SHOWN_INTEGER_DIGITS = 60


def exact(value: float) -> Fraction:
    """Returns the number that a JSON number was written as (0.1 is one tenth).

    Raises:
        ToolError: the value is infinite, or no number.
    """
    try:
        return bounded(Fraction(value if isinstance(value, int) else repr(value)))
    except ValueError:
        raise ToolError(f"{value!r} is not a number") from None


def bounded(number: Fraction) -> Fraction:
    """Returns the number.

    Raises:
        ToolError: it has more than `MAX_BITS`.
    """
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > MAX_BITS:
        raise ToolError("a number in this calculation is too large or too small")
    return number


def shown(number: Fraction) -> tuple[str, bool]:
    """Returns the number as decimal text, and whether it was rounded."""
    if number.denominator == 1 and abs(number.numerator) < 10**_SHOWN_INTEGER_DIGITS:
        return str(number.numerator), False
    context = Context(prec=_SHOWN_DIGITS)
    decimal = context.divide(Decimal(number.numerator), Decimal(number.denominator)).normalize(
        context
    )
    usual = -7 < decimal.adjusted() < _SHOWN_DIGITS + 3
    return f"{decimal:{'f' if usual else 'e'}}", Fraction(decimal) != number
