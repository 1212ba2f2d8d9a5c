"""Tools made from typed, documented functions."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, overload

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaError

from ..core import Problem, ToolError, ToolLibraryError
from .json_text import path_to, shortened
from .library import tool_problems
from .spec import Effect, ToolSpec
from .threads import run_in_thread
from .tool import Run, Tool


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *, name: str | None = None, effect: Effect = "write", timeout_s: float | None = None
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    effect: Effect = "write",
    timeout_s: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Makes a tool from a typed, documented function, sync or async; used as ``@tool`` or ``@tool(effect="read")``.

    The description is the docstring's first paragraph. The arguments' schema comes from the annotations, their
    descriptions from ``Annotated[..., Field(description=...)]`` or the docstring's ``Args:`` section. A call's
    arguments are converted to the annotated types (enums, dates, models) before the function gets them; arguments that
    the call leaves out take the function's own defaults. A sync function runs in a thread of its own.

    Raises:
        ToolLibraryError: the function cannot be a tool; every reason is listed.
    """
    if function is None:
        return functools.partial(_tool, name=name, effect=effect, timeout_s=timeout_s)
    return _tool(function, name=name, effect=effect, timeout_s=timeout_s)


def _tool(
    function: Callable[..., Any], *, name: str | None, effect: Effect, timeout_s: float | None
) -> Tool:
    own_name = getattr(function, "__name__", type(function).__name__)
    docstring = inspect.getdoc(function) or ""
    described = _argument_descriptions(docstring)
    parameters, reasons = _parameters(function)
    for argument in described:
        if not reasons and argument not in [parameter.name for parameter in parameters]:
            reasons.append((argument, "is described in the docstring, but is no argument"))
    problems = [Problem(path=path_to(own_name, *place), message=why) for *place, why in reasons]
    model = create_model("Arguments") if problems else _model(parameters)
    schema = _schema(model)
    for argument, text in described.items():
        if argument in schema["properties"]:
            schema["properties"][argument].setdefault("description", text)
    spec = ToolSpec(
        name=own_name if name is None else name,
        description=_first_paragraph(docstring),
        parameters=schema,
        effect=effect,
    )
    problems += tool_problems(Tool(spec=spec, timeout_s=timeout_s), path=own_name)
    if problems:
        raise ToolLibraryError(f"function {own_name}", tuple(problems))
    return Tool(spec=spec, run=_run(function, model), timeout_s=timeout_s)


def _parameters(
    function: Callable[..., Any],
) -> tuple[list[inspect.Parameter], list[tuple[str, ...]]]:
    """Returns the parameters with their annotations resolved, and what is wrong: the argument, if it is one, and why."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return [], [("is a generator; return one value instead",)]
    try:
        signature = inspect.signature(function)
        annotated = function if inspect.isroutine(function) else _called(function)
        hints = typing.get_type_hints(annotated, include_extras=True)
    except Exception as error:  # whatever an annotation written as text evaluates to
        return [], [(f"its annotations cannot be read: {type(error).__name__}: {error}",)]
    parameters: list[inspect.Parameter] = []
    reasons: list[tuple[str, ...]] = []
    for parameter in signature.parameters.values():
        reason = _parameter_problem(parameter, hints)
        if reason is None:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
        else:
            reasons.append((parameter.name, reason))
    return parameters, reasons


def _called(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _parameter_problem(parameter: inspect.Parameter, hints: dict[str, Any]) -> str | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return f"{str(parameter).partition(':')[0]} is open; name every argument"
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return "is positional-only, but arguments are given by name; move the / or leave it out"
    if parameter.name not in hints:
        return f"has no type annotation; write {parameter.name}: str or what it is"
    if isinstance(parameter.default, FieldInfo):
        return "has a Field as its default; write Annotated[TYPE, Field(...)] = DEFAULT"
    try:
        TypeAdapter(hints[parameter.name]).json_schema(schema_generator=_JsonSchema)
    except (PydanticUserError, SchemaError, TypeError, ValueError, NameError) as error:
        reason = shortened(str(error).partition("\n")[0], limit=200)
        return f"its type has no JSON Schema: {reason}"
    return None


class _JsonSchema(GenerateJsonSchema):
    """Leaves out what a model need not read, and one regular expression that cannot be checked in bounded time."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        without_pattern = super().decimal_schema(schema)
        for form in without_pattern.get("anyOf", ()):
            form.pop("pattern", None)
        return without_pattern


def _model(parameters: list[inspect.Parameter]) -> type[BaseModel]:
    # Fields have made-up names and the arguments' names as aliases, because pydantic keeps some names for itself.
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"argument_{index}"] = (
            parameter.annotation,
            Field(default=default, alias=parameter.name),
        )
    return create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_JsonSchema)
    definitions = schema.pop("$defs", {})
    try:
        schema = _inlined(schema, definitions, ())
    except RecursionError:  # a type that holds itself needs its name
        schema["$defs"] = definitions
    del schema["title"]
    return {"type": "object", "properties": {}, **schema}


def _inlined(part: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    """Returns the schema with every reference replaced by what it means, which is easier to read for a model.

    Raises:
        RecursionError: a definition refers to itself.
    """
    if isinstance(part, list):
        return [_inlined(item, definitions, within) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        if name in within:
            raise RecursionError(name)
        beside = {key: value for key, value in part.items() if key != "$ref"}
        meant = {key: value for key, value in definitions[name].items() if key != "title"}
        return _inlined({**meant, **beside}, definitions, (*within, name))
    return {key: _inlined(value, definitions, within) for key, value in part.items()}


def _run(function: Callable[..., Any], model: type[BaseModel]) -> Run:
    names = {field: info.alias for field, info in model.model_fields.items()}
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  an object with an async __call__
    )

    async def run(arguments: dict[str, Any]) -> Any:
        try:
            converted = model.model_validate(arguments)
        except ValidationError as error:
            raise ToolError(_refusal(error), kind="invalid_arguments") from None
        given = {
            str(names[field]): getattr(converted, field) for field in converted.model_fields_set
        }
        if is_async:
            return await function(**given)
        value = await run_in_thread(functools.partial(function, **given))
        return await value if inspect.isawaitable(value) else value

    return run


def _refusal(error: ValidationError) -> str:
    lines = [
        f"- {path_to('', *problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return "The arguments are not valid:\n" + "\n".join(lines)


def _first_paragraph(docstring: str) -> str:
    return " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())


def _argument_descriptions(docstring: str) -> dict[str, str]:
    """Returns what the ``Args:`` section of a Google-style docstring says about each argument."""
    section = re.search(r"^(?:Args|Arguments):[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)*)", docstring, re.M)
    if section is None:
        return {}
    described: dict[str, str] = {}
    lines = inspect.cleandoc("\n" + section[1]).splitlines()
    name = ""
    for line in lines:
        entry = re.match(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)", line)
        if entry is not None:
            name = entry[1]
            described[name] = entry[2].strip()
        elif name and line.startswith((" ", "\t")):
            described[name] = f"{described[name]} {line.strip()}".strip()
    return {argument: text for argument, text in described.items() if text}
