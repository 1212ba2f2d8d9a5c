"""`toolverifier run` shows what is decided, prints JSON for machines, and exits as it says."""

import importlib
import json
import re
import sys

import pytest
from typer.testing import CliRunner

import toolverifier.cli.run as run_module
from toolverifier.cli.main import app
from toolverifier.core import ModelError, Trajectory, from_json
from toolverifier.models import FunctionModel, ScoreItem

TOOLS = [
    {
        "name": "weather_now",
        "description": "Tells the weather right now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
        "effect": "read",
    },
    {"name": "erase", "description": "Erases everything.", "parameters": {"type": "object"}},
]


def score(item: ScoreItem) -> float:
    user = item.prompt[-1].content
    if "fill in the arguments" in item.prompt[0].content:
        return -0.1 if "Rome" in item.continuation and "Rome" in user else -9.0
    if user.startswith("Tool: "):
        wanted = "erase" if "rase" in item.continuation else "weather_now"
        return -5.0 if f"Tool: {wanted}\n" in user else -6.0
    return -10.0


def generate(prompt, shape, config):
    if shape is not None:
        return "null"
    return "It is sunny."


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(TOOLS))
    return str(path)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    async def load(name):
        if name == "hf:gone":
            raise ModelError("no such model")
        return FunctionModel(generate, score=score)

    monkeypatch.setattr(run_module, "load_with_progress", load)


def invoke(*arguments):
    return CliRunner().invoke(app, ["run", *arguments])


def test_a_decided_call_is_shown_with_candidates_and_cost(library):
    result = invoke("What is the weather in Rome?", "--tools", library)

    assert result.exit_code == 0, result.output
    for part in (
        "● What is the weather in Rome?",
        "weather_now",
        "weather_now or erase? (pair)",
        '"Rome"',
        'weather_now(city="Rome")',
        "the call is yours to make",
        "tokens computed",
    ):
        assert part in result.output
    assert re.search(r"weather_now +█+", result.output)


def test_json_is_a_trajectory_and_nothing_else(library):
    result = invoke("What is the weather in Rome?", "--tools", library, "--json")

    trajectory = from_json(Trajectory, json.loads(result.stdout))
    assert trajectory.stop_reason == "called"
    assert trajectory.calls[0].arguments == {"city": "Rome"}


def test_what_is_missing_is_asked_for(library):
    result = invoke("What is the weather?", "--tools", library)

    assert result.exit_code == 0
    assert "Please tell me: city (Name of the city)." in result.output


def test_tools_of_a_module_are_called_and_answered(tmp_path, monkeypatch):
    (tmp_path / "my_tools.py").write_text(
        "from toolverifier import tool\n"
        "@tool(effect='read')\n"
        "def weather_now(city: str) -> str:\n"
        "    '''Tells the weather right now.'''\n"
        "    return city + ' is sunny'\n"
        "@tool\n"
        "def erase() -> str:\n"
        "    '''Erases everything.'''\n"
        "    return 'gone'\n"
        "tools = [weather_now, erase]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_tools", raising=False)
    answered = invoke("What is the weather in Rome?", "--tools", "my_tools:tools")
    one = invoke("What is the weather in Rome?", "--tools", "my_tools:weather_now", "--no-execute")
    refused = invoke("Erase it", "--tools", "my_tools:tools")
    approved = invoke("Erase it", "--tools", "my_tools:tools", "--yes")

    assert "Rome is sunny" in answered.output
    assert "It is sunny." in answered.output
    assert "the call is yours to make" in one.output
    assert (refused.exit_code, "not approved" in refused.output) == (1, True)
    assert (approved.exit_code, "gone" in approved.output) == (0, True)


def test_the_view_can_be_kept_as_a_picture(library, tmp_path):
    picture = tmp_path / "view.svg"
    invoke("What is the weather in Rome?", "--tools", library, "--svg", str(picture))

    seen = picture.read_text()
    as_json = ("--svg", str(picture), "--json")
    printed = invoke("What is the weather in Rome?", "--tools", library, *as_json)

    assert json.loads(printed.stdout)["stop_reason"] == "called"
    for each in (seen, picture.read_text()):
        assert each.startswith("<svg")
        assert "weather_now" in each


@pytest.mark.parametrize("place", ["missing/view.svg", "."])
def test_a_picture_that_cannot_be_kept_is_refused_before_the_run(library, tmp_path, place):
    picture = str(tmp_path / place)
    result = invoke("What is the weather in Rome?", "--tools", library, "--svg", picture)

    assert (result.exit_code, "●" in result.output) == (2, False)
    assert "a file in a folder that is there is expected" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    "flag", ["--no-no-execute", "--no-json", "--no-yes", "--no-allow-python", "--execute"]
)
def test_no_flag_has_a_twin(library, flag):
    result = invoke("What is the weather in Rome?", "--tools", library, flag)

    assert (result.exit_code, "No such option" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("tools = [", "bad_tools:tools: importing 'bad_tools' failed: SyntaxError"),
        ("1 / 0", "importing 'bad_tools' failed: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "importing 'bad_tools' failed: SystemExit: 3"),
        ("tools = 5", "bad_tools:tools: a toolset or a list of tools is expected, got 5"),
        ("tools = 'text'", "a toolset or a list of tools is expected, got 'text'"),
        ("tools = [5]", "5 is not a callable object"),
    ],
)
def test_a_module_without_usable_tools_is_named(tmp_path, monkeypatch, code, message):
    (tmp_path / "bad_tools.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_tools", raising=False)
    importlib.invalidate_caches()
    result = invoke("x", "--tools", "bad_tools:tools")

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert message in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x"], 2, "--tools"),
        (["", "--tools", "LIBRARY"], 2, "the request is empty"),
        (["x", "--tools", "nothing"], 2, "expected workspace:DIR"),
        (["x", "--tools", "gone.json"], 2, "gone.json"),
        (["x", "--tools", "workspace:/does/not/exist"], 2, "/does/not/exist"),
        (["x", "--tools", "no_such_module:tools"], 2, "No module named 'no_such_module'"),
        (["x", "--tools", "json:nothing"], 2, "has no 'nothing'"),
        (["x", "--tools", "LIBRARY", "--tools", "LIBRARY"], 2, "prefix"),
        (["x", "--tools", "LIBRARY", "--model", "hf:gone"], 1, "no such model"),
    ],
)
def test_what_a_user_can_mend_is_said_without_a_traceback(library, arguments, code, message):
    result = invoke(*[library if each == "LIBRARY" else each for each in arguments])

    assert result.exit_code == code
    assert message in result.output.replace("\n", " ")
    assert "Traceback" not in result.output


def test_tools_can_be_listed(library):
    listed = CliRunner().invoke(app, ["tools", "list", library])
    as_json = CliRunner().invoke(app, ["tools", "list", library, "--json"])

    assert "weather_now" in listed.output
    assert [each["name"] for each in json.loads(as_json.stdout)] == ["weather_now", "erase"]


def test_a_description_with_brackets_is_listed_as_it_is(tmp_path):
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([TOOLS[0] | {"description": "Gets [city] of [/v1/users].\x1b"}]))
    listed = CliRunner().invoke(app, ["tools", "list", str(path)], env={"COLUMNS": "200"})

    assert "Gets [city] of [/v1/users].\ufffd" in listed.output


def test_a_library_that_names_code_needs_a_word_of_consent(tmp_path):
    tool = TOOLS[0] | {"binding": {"type": "python", "function": "textwrap:dedent"}}
    tool["parameters"] = {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    }
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([tool]))
    refused = CliRunner().invoke(app, ["tools", "list", str(path)])
    allowed = CliRunner().invoke(app, ["tools", "list", str(path), "--allow-python"])

    assert (refused.exit_code, "allow_python" in refused.output) == (2, True)
    assert allowed.exit_code == 0
