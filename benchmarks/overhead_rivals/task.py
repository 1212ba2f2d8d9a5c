"""The run that every framework makes: a request, the two tools that serve it, and the answer."""

REQUEST = "What is the temperature in Paris and what is the population of Lyon in 2020?"
PARTS = ("What is the temperature in Paris?", "What is the population of Lyon in 2020?")
CALLS = (("temperature", {"city": "Paris"}), ("population", {"city": "Lyon", "year": 2020}))
ANSWER = "It is 21 degrees in Paris, and Lyon had 522250 inhabitants."

made: list[tuple[str, dict[str, object]]] = []
"""The calls that reached the tools."""


def temperature(city: str) -> float:
    """Returns the current temperature in a city, in degrees Celsius.

    Args:
        city: The city's name.
    """
    made.append(("temperature", {"city": city}))
    return 21.0


def population(city: str, year: int) -> int:
    """Returns how many people lived in a city in a year.

    Args:
        city: The city's name.
        year: The year.
    """
    made.append(("population", {"city": city, "year": year}))
    return 522250
