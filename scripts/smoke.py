"""Checks an installed toolverifier from outside its checkout: a whole run, without a model's weights.

Usage: ``python smoke.py``, with the Python that has the package.
"""

from __future__ import annotations

import importlib.resources
import json
import pkgutil
import sys
import tempfile
from pathlib import Path

import toolverifier
from toolverifier.agent import Agent
from toolverifier.models import FunctionModel, ScoreItem
from toolverifier.tools import Toolset

TOOLS = [
    {
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
    }
    for name, description in (
        ("current_weather", "Weather in a city right now"),
        ("weather_forecast", "Weather in a city over the coming days"),
    )
]


def prefer_oslo_now(item: ScoreItem) -> float:
    """Scores the right tool, by its description or its name, and the right city above everything else."""
    asked = item.prompt[-1].content
    right = (
        "Oslo" in item.continuation
        if "Value of city" in asked
        else "right now" in asked.partition("Description: ")[2]
        or item.continuation == "current_weather"
    )
    return -0.1 if right else -9.0


def main() -> None:
    """Runs a request over a JSON tool file and checks what came of it."""
    here = Path(toolverifier.__file__).parent
    if (here / "pyproject.toml").exists():
        sys.exit(f"the checkout was imported, not the installed package: {here}")
    if not importlib.resources.files("toolverifier").joinpath("py.typed").is_file():
        sys.exit("py.typed is missing from the package")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tools.json"
        path.write_text(json.dumps(TOOLS))
        model = FunctionModel(lambda *_: '"Oslo"', score=prefer_oslo_now)
        agent = Agent(model, tools=Toolset.from_json(path), execute=False)
        trajectory = agent.run_sync("What is the weather in Oslo right now?")
    calls = [(call.name, call.arguments) for call in trajectory.calls]
    if (trajectory.stop_reason, calls) != ("called", [("current_weather", {"city": "Oslo"})]):
        sys.exit(f"the run ended with {trajectory.stop_reason!r} and called {calls!r}")
    modules = [module.name for module in pkgutil.iter_modules([str(here)])]
    print(f"toolverifier in {here} works: {', '.join(modules)}")


if __name__ == "__main__":
    main()
