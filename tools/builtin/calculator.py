"""The calculator: an expression is taken apart into tokens, parsed, and worked out node by node.

Nothing is ever evaluated by Python itself, names are looked up in two small tables, and the size of every
number is bounded before it is computed.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from ...core import ToolError
from ..tool import Tool
from .numbers import MAX_BITS, bounded, exact, shown
from .reading import reading_tool

_MAX_CHARS = 300
_MAX_EXPONENT = 300
"""Of a number as it is written; beyond, a float would be infinite or zero."""
_MAX_FACTORIAL = 500
_MAX_ROUND_DIGITS = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:e(?P<exponent>[+-]?\d+))?)|(?P<name>[a-z_]\w*)"
    r"|(?P<operator>\*\*|//|[-+*/%^(),]))",
    re.ASCII | re.IGNORECASE,
)
_SIGNS = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "*", "·": "*", "÷": "/", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-"}
)


def calculate(expression: str) -> str:
    """Returns the expression with its result."""
    if len(expression) > _MAX_CHARS:
        raise ToolError(f"the expression is longer than {_MAX_CHARS} characters")
    try:
        tree = ast.parse(_python(expression), mode="eval")
        text, rounded = shown(_value(tree.body))
    except (SyntaxError, MemoryError, RecursionError):
        raise ToolError(f"{expression!r} is not a complete expression") from None
    except ZeroDivisionError:
        raise ToolError(f"{expression!r} divides by zero") from None
    except TypeError:
        raise ToolError(f"{expression!r} gives a function too many or too few arguments") from None
    except (OverflowError, ValueError) as error:
        raise ToolError(f"{expression!r} cannot be worked out: {error}") from None
    return f"{expression.strip()} {'≈' if rounded else '='} {text}"


def calculator_tools() -> list[Tool]:
    """Returns the calculator."""
    return [
        reading_tool(
            calculate,
            "Works out an arithmetic expression of plain numbers, without units.",
            expression={
                "type": "string",
                "minLength": 1,
                "maxLength": _MAX_CHARS,
                "description": "For example '(17.5 + 3) * 12' or 'sqrt(2) ^ 3'. Operators + - * / // % ^ and "
                f"functions {', '.join(_FUNCTIONS)} (angles in radians); constants pi and e.",
            },
        )
    ]


def _python(expression: str) -> str:
    """Returns the expression as Python spells it; it holds numbers, known names and operators only."""
    text = expression.translate(_SIGNS).rstrip()
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ToolError(
                f"{text[position:].strip()[:1]!r} is no part of an arithmetic expression"
            )
        token = match.group().strip()
        name = match["name"]
        if name and name.lower() not in _FUNCTIONS and name.lower() not in _CONSTANTS:
            known = ", ".join([*_FUNCTIONS, *_CONSTANTS])
            raise ToolError(f"unknown name {name!r}; there are {known}")
        if match["number"]:
            if abs(int(match["exponent"] or 0)) > _MAX_EXPONENT:
                raise ToolError(f"the number {token} is too large or too small")
            # Python forbids leading zeros in integers.
            token = token.lstrip("0") or "0"
        tokens.append(token.lower().replace("^", "**"))
        position = match.end()
    return " ".join(tokens)


def _value(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return exact(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
        case ast.UnaryOp(op=ast.UAdd()):
            return _value(node.operand)
        case ast.BinOp():
            return bounded(_OPERATORS[type(node.op)](_value(node.left), _value(node.right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return bounded(_FUNCTIONS[name](*map(_value, arguments)))
        case ast.Tuple():
            raise ToolError(
                "commas stand between a function's arguments only; write 1000, not 1,000"
            )
    raise ToolError("the expression is neither numbers and operators nor a call like sqrt(2)")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        power = float(base) ** float(exponent)
        if isinstance(power, complex):
            raise ValueError("a root of a negative number")
        return exact(power)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if (bits - 1) * abs(exponent) > MAX_BITS:
        raise OverflowError("the power is too large or too small")
    return base ** int(exponent)


def _rounded(number: Fraction, digits: Fraction = Fraction(0)) -> Fraction:
    """Rounds halves away from zero, as taught at school."""
    scale = Fraction(10) ** _whole(digits, _MAX_ROUND_DIGITS)
    return (
        Fraction(math.floor(abs(number) * scale + Fraction(1, 2)))
        / scale
        * (-1 if number < 0 else 1)
    )


def _whole(number: Fraction, largest: int) -> int:
    if number.denominator != 1 or not 0 <= number <= largest:
        raise ValueError(f"a whole number from 0 to {largest} is needed")
    return int(number)


def _in_floats(function: Callable[..., float]) -> Callable[..., Fraction]:
    return lambda *numbers: exact(function(*map(float, numbers)))


_CONSTANTS = {"pi": exact(math.pi), "e": exact(math.e)}
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, Callable[..., Fraction]] = {
    "sqrt": _in_floats(math.sqrt),
    "abs": abs,
    "round": _rounded,
    "floor": lambda number: Fraction(math.floor(number)),
    "ceil": lambda number: Fraction(math.ceil(number)),
    "min": min,
    "max": max,
    "exp": _in_floats(math.exp),
    "log": _in_floats(math.log),
    "log2": _in_floats(math.log2),
    "log10": _in_floats(math.log10),
    "sin": _in_floats(math.sin),
    "cos": _in_floats(math.cos),
    "tan": _in_floats(math.tan),
    "asin": _in_floats(math.asin),
    "acos": _in_floats(math.acos),
    "atan": _in_floats(math.atan),
    "degrees": _in_floats(math.degrees),
    "radians": _in_floats(math.radians),
    "factorial": lambda number: Fraction(math.factorial(_whole(number, _MAX_FACTORIAL))),
}
