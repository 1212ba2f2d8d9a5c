"""What the package promises as a whole: its parts, its layers, its public names, its weight."""

from __future__ import annotations

import ast
import importlib.resources
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]
NOT_INSTALLED = {"benchmarks", "build", "docs", "examples", "scripts", "tests"}

LAYERS = {"core": 0, "tools": 1, "models": 2, "verification": 3, "agent": 4}
LAYERS |= {"synth_data": 5, "eval": 5, "cli": 6}

COMES_WITH = {
    "pydantic_core": "pydantic",
    "referencing": "jsonschema",
    "tokenizers": "transformers",
}
"""Modules that another distribution brings along and stands for."""


def sources(*folders: str) -> Iterator[Path]:
    """Yields the library's modules, of all its folders or of those named."""
    for folder in folders or LAYERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yields the full name of every module that a module imports, wherever in it the import stands."""
    package = ("toolverifier", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = node.module.split(".") if node.module else []
            yield from (".".join([*base, *module, alias.name]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def run_python(code: str) -> Any:
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    return json.loads(output)


def test_every_folder_of_the_library_is_in_the_list_of_packages() -> None:
    folders = [
        path
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in NOT_INSTALLED
    ]
    found = {
        ".".join(["toolverifier", *path.parent.relative_to(ROOT).parts])
        for folder in folders
        for path in folder.rglob("__init__.py")
    }
    assert sorted({"toolverifier", *found}) == PACKAGES


def test_every_package_belongs_to_a_layer() -> None:
    parts = {package.split(".")[1] for package in PACKAGES if "." in package}
    assert parts <= LAYERS.keys()


@pytest.mark.parametrize(
    "layer", [layer for layer in LAYERS if (ROOT / layer / "__init__.py").exists()]
)
def test_a_layer_imports_only_what_lies_below_it(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources(layer)
        for module in imports(path)
        if (parts := module.split("."))[0] == "toolverifier"
        and parts[1] != layer
        and LAYERS.get(parts[1], 99) >= LAYERS[layer]
    ]
    assert wrong == []


def test_imports_inside_the_library_are_relative() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and "toolverifier" in str(node.module)
        )
        or (
            isinstance(node, ast.Import) and any("toolverifier" in name.name for name in node.names)
        )
    ]
    assert wrong == []


def test_everything_that_the_library_imports_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    requirements = [*PROJECT["project"]["dependencies"], *extras["hf"], *extras["langchain"]]
    declared = {re.split(r"[<>=\[ ]", line)[0].replace("-", "_") for line in requirements}
    imported = (
        {module.split(".")[0] for path in sources() for module in imports(path)}
        - sys.stdlib_module_names
        - {"toolverifier"}
    )
    assert {COMES_WITH.get(module, module) for module in imported} <= declared


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_listed_in_order_and_exist(package: str) -> None:
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    assert [name for name in names if not hasattr(module, name)] == []
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    others = [name for name in names if not name[0].isupper()]
    assert list(names) == sorted(set(constants)) + sorted(set(classes)) + sorted(set(others))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = run_python("import json, sys, toolverifier; print(json.dumps(list(sys.modules)))")
    heavy = {"torch", "transformers", "langchain", "langchain_core", "bitsandbytes", "llguidance"}
    assert heavy.isdisjoint(name.split(".")[0] for name in loaded)


def test_importing_the_package_takes_less_than_300_ms() -> None:
    code = "import time; start = time.process_time(); import toolverifier; print(time.process_time() - start)"
    # Processor time, and the best of five, so that a busy machine does not count.
    assert min(run_python(code) for _ in range(5)) < 0.3


def test_the_package_says_that_it_is_typed() -> None:
    assert importlib.resources.files("toolverifier").joinpath("py.typed").is_file()
