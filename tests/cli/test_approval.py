"""What changes something is asked for: one call at a time, and Ctrl-C is an answer too."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from toolverifier.cli.approval import Approval
from toolverifier.core import ToolCall
from toolverifier.tools import ToolSpec

SPEC = ToolSpec(name="erase", description="Erases everything.")

PROGRAM = """
import asyncio
from rich.console import Console
from toolverifier import Agent, tool
from toolverifier.cli.approval import Approval
from toolverifier.cli.live import LiveView
from toolverifier.cli.run import run_in_view
from toolverifier.models import FunctionModel

@tool
def erase() -> str:
    '''Erases everything.'''
    return 'gone'

def score(item):
    return -5.0 if "erase" in item.prompt[-1].content else -10.0

async def main():
    console = Console()
    status = console.status("thinking")
    model = FunctionModel(lambda *_: "done", score=score)
    agent = Agent(model, tools=[erase], approve=Approval(status, yes=False))
    await run_in_view(agent, "Erase it", views=[LiveView(console)], status=status)

asyncio.run(main())
"""


@pytest.fixture
def terminal(monkeypatch):
    """The user's end of a terminal that is standard input."""
    user, program = os.openpty()
    with os.fdopen(program) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield user
    os.close(user)


class Status:
    """Writes down when it is stopped and started."""

    def __init__(self):
        self.log = []

    def stop(self):
        self.log.append("stop")

    def start(self):
        self.log.append("start")


def call(name):
    return ToolCall(id=name, name=name, arguments={"path": "/"})


async def test_calls_side_by_side_are_asked_for_one_after_the_other(terminal, capsys):
    status = Status()
    approval = Approval(status, yes=False)
    os.write(terminal, b"y\nn\n\x04")
    answers = await asyncio.gather(*(approval(call(name), SPEC) for name in "abc"))

    assert answers == [True, False, False]
    assert status.log == ["stop", "start"] * 3
    assert [part.strip() for part in capsys.readouterr().err.split("Make it? [y/N]:")] == [
        'a(path="/") is a write call.',
        'b(path="/") is a write call.',
        'c(path="/") is a write call.',
        "",
    ]


async def test_the_status_display_is_stopped_while_the_user_is_asked(terminal):
    status = Status()
    asking = asyncio.ensure_future(Approval(status, yes=False)(call("a"), SPEC))
    for _ in range(5):
        await asyncio.sleep(0)
    assert status.log == ["stop"]
    os.write(terminal, b"y\n")

    assert (await asking, status.log) == (True, ["stop", "start"])


async def test_nobody_is_asked_where_all_is_approved_or_no_terminal_is_there(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    status = Console(file=io.StringIO()).status("thinking")

    assert await Approval(status, yes=True)(call("a"), SPEC) is True
    assert await Approval(status, yes=False)(call("a"), SPEC) is False
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("output", ["terminal", "pipe"])
def test_ctrl_c_at_the_question_ends_the_run_and_the_process(output):
    user, program = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=program,
        stderr=program,
        stdout=program if output == "terminal" else subprocess.PIPE,
    )
    os.close(program)
    watchdog = threading.Timer(50, process.kill)
    watchdog.start()
    shown = b""
    try:
        while b"Make it?" not in shown:
            shown += os.read(user, 1000)
        process.send_signal(signal.SIGINT)
        while chunk := rest(user):
            shown += chunk
        shown += process.stdout.read() if process.stdout else b""
        assert process.wait() == 0, shown.decode()
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
        os.close(user)
    assert b"stopped: cancelled" in shown
    assert b"Fatal" not in shown


def rest(terminal):
    try:
        return os.read(terminal, 1000)
    except OSError:  # the program has closed its end
        return b""
