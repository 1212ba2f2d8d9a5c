"""The tool that converts units, exactly: factors are fractions, and only the result is rounded."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from fractions import Fraction

from ...core import ToolError
from ..tool import Tool
from .numbers import exact, shown
from .reading import reading_tool


@dataclass(frozen=True, kw_only=True)
class _Unit:
    symbol: str
    quantity: str
    factor: Fraction
    """How many of the quantity's base unit one unit is."""
    offset: Fraction
    """What is added to a value before the factor; zero for all but temperatures."""


# A line a unit: its factor, then its symbol, then its other names in the singular; names with
# blanks are written with underscores. Factors are exact by definition (1959 yard and pound, US gallon).
_TABLE = {
    "length": """
        1 m meter metre
        1e3 km kilometer kilometre
        1e-2 cm centimeter centimetre
        1e-3 mm millimeter millimetre
        1e-6 µm micrometer micrometre micron um
        1e-9 nm nanometer nanometre
        0.0254 in inch inches
        0.3048 ft foot feet
        0.9144 yd yard
        1609.344 mi mile
        1852 nmi nautical_mile
        149597870700 au astronomical_unit
        9460730472580800 ly light-year light_year lightyear
    """,
    "mass": """
        1 kg kilogram kilo kilogramme
        1e-3 g gram gramme
        1e-6 mg milligram
        1e-9 µg microgram ug mcg
        1e3 t tonne metric_ton
        0.45359237 lb pound lbs
        0.028349523125 oz ounce
        6.35029318 st stone
        907.18474 short_ton us_ton
        1016.0469088 long_ton imperial_ton
    """,
    "volume": """
        1 L liter litre
        1e-3 mL milliliter millilitre cc cm3
        1e-2 cL centiliter centilitre
        1e-1 dL deciliter decilitre
        1e3 m3
        0.00492892159375 tsp teaspoon
        0.01478676478125 tbsp tablespoon
        0.0295735295625 fl_oz fluid_ounce floz
        0.2365882365 cup
        0.473176473 pt pint
        0.946352946 qt quart
        3.785411784 gal gallon us_gallon
        4.54609 imp_gal imperial_gallon uk_gallon
        0.56826125 imp_pt imperial_pint uk_pint
        28.316846592 ft3
        0.016387064 in3
    """,
    "speed": """
        1 m/s meter_per_second metre_per_second meters_per_second metres_per_second mps
        1/3.6 km/h kilometer_per_hour kilometre_per_hour kilometers_per_hour kilometres_per_hour kph kmh
        0.44704 mph mile_per_hour miles_per_hour mi/h
        1852/3600 kn knot kt
        0.3048 ft/s foot_per_second feet_per_second fps
    """,
    "area": """
        1 m2 sqm
        1e6 km2
        1e-4 cm2
        1e-6 mm2
        1e4 ha hectare
        4046.8564224 ac acre
        2589988.110336 mi2
        0.83612736 yd2
        0.09290304 ft2 sqft
        0.00064516 in2
    """,
    "data": """
        1 B byte
        1/8 bit
        1e3 kB kilobyte
        1e6 MB megabyte mb
        1e9 GB gigabyte gb
        1e12 TB terabyte
        1e15 PB petabyte
        1024 KiB kibibyte
        1048576 MiB mebibyte
        1073741824 GiB gibibyte
        1099511627776 TiB tebibyte
        1e3/8 kbit kilobit
        1e6/8 Mbit megabit Mb
        1e9/8 Gbit gigabit Gb
    """,
    "duration": """
        1 s second sec
        1e-3 ms millisecond
        1e-6 µs microsecond us
        1e-9 ns nanosecond
        60 min minute
        3600 h hour hr
        86400 d day
        604800 wk week
        31557600 a year yr julian_year
    """,
    "temperature": """
        1 K kelvin
        1+273.15 °C celsius c degree_celsius degrees_celsius centigrade
        1/1.8+459.67 °F fahrenheit f degree_fahrenheit degrees_fahrenheit
    """,
}


def _units() -> dict[str, _Unit]:
    units: dict[str, _Unit] = {}
    for quantity, table in _TABLE.items():
        for line in table.strip().splitlines():
            number, *names = line.split()
            number, _, offset = number.partition("+")
            numerator, _, divisor = number.partition("/")
            unit = _Unit(
                symbol=names[0].replace("_", " "),
                quantity=quantity,
                factor=Fraction(numerator) / Fraction(divisor or "1"),
                offset=Fraction(offset or "0"),
            )
            units |= {name.replace("_", " "): unit for name in names}
    return units


_UNITS = _units()
_BY_LOWER_CASE = {name.casefold(): unit for name, unit in _UNITS.items()}
_POWER = re.compile(r"(?P<power>square|sq\.?|cubic|cu\.?) (?P<side>.+)", re.IGNORECASE)
_LETTERS = str.maketrans({"\N{GREEK SMALL LETTER MU}": "µ", "²": "2", "³": "3"})


def unit_tools() -> list[Tool]:
    """Returns the tool that converts units."""
    unit = {
        "type": "string",
        "minLength": 1,
        "maxLength": 40,
    }
    return [
        reading_tool(
            convert_units,
            "Converts a measured value to another unit of length, mass, temperature, volume, speed, area, data or"
            " duration.",
            value={"type": "number", "description": "How many of the first unit."},
            from_unit=unit
            | {"description": "Unit of the value, by name or symbol, for example 'mile' or 'kg'."},
            to_unit=unit
            | {
                "description": "Unit to convert to, by name or symbol, for example 'celsius' or 'lb'."
            },
        )
    ]


def convert_units(value: float, from_unit: str, to_unit: str) -> str:
    """Returns the value in both units."""
    source, target = _unit_named(from_unit), _unit_named(to_unit)
    if source.quantity != target.quantity:
        raise ToolError(
            f"{from_unit!r} is a unit of {source.quantity} and {to_unit!r} one of {target.quantity}"
        )
    number = exact(value)
    base = (number + source.offset) * source.factor
    if source.quantity == "temperature" and base < 0:
        raise ToolError(f"{shown(number)[0]} {source.symbol} is below absolute zero")
    text, rounded = shown(base / target.factor - target.offset)
    verb = "is about" if rounded else "is"
    return f"{shown(number)[0]} {source.symbol} {verb} {text} {target.symbol}."


def _unit_named(text: str) -> _Unit:
    name = " ".join(text.replace("_", " ").replace("^", "").translate(_LETTERS).split())
    unit = _known(name)
    power = _POWER.fullmatch(name)
    if power and not unit and (side := _known(power["side"])):
        unit = _UNITS.get(side.symbol + ("3" if power["power"].lower().startswith("cu") else "2"))
    if unit:
        return unit
    close = difflib.get_close_matches(name.casefold(), _UNITS, n=3)
    mend = (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else "give a name like 'mile' or 'kg'"
    )
    raise ToolError(f"no unit {text!r}; {mend}")


def _known(name: str) -> _Unit | None:
    """Returns the unit of that name; case matters only between names that differ in nothing else."""
    lower = name.casefold()
    for spelling in (name, lower, lower.removesuffix("s")):
        if spelling in _UNITS:
            return _UNITS[spelling]
    return _BY_LOWER_CASE.get(lower)
