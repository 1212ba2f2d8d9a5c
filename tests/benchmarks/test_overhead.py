"""The overhead benchmark measures whole, right runs, and says what it could not measure."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("2 tools", "15 tools", "15 tools, always looking again")
RIVALS = {"langchain": 2, "pydantic_ai": 1, "smolagents": 1}


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )


def test_every_framework_is_measured_or_named_with_what_installs_it():
    result = run("-m", "benchmarks.overhead", "--runs", "3", "--rounds", "1")

    assert result.stderr == ""
    rows = re.findall(r"^\| (\w+) [\d.]+, (.+?) \|(.+)\|$", result.stdout, re.MULTILINE)
    assert [variant for package, variant, _ in rows if package == "toolverifier"] == list(OURS)
    left_out = re.findall(r"^(\w+) was left out: pip install \S+", result.stdout, re.MULTILINE)
    measured = [package for package, _, _ in rows]
    assert {name: measured.count(name) or RIVALS[name] for name in RIVALS} == RIVALS
    assert sorted({*measured, *left_out}) == [
        "langchain",
        "pydantic_ai",
        "smolagents",
        "toolverifier",
    ]
    for _, _, cells in rows:
        run_ms, p95_ms, step_ms, step_p95_ms, import_s, memory = map(float, cells.split("|"))
        assert 0 < run_ms <= p95_ms
        assert abs(step_ms - run_ms / 2) <= 0.01
        assert abs(step_p95_ms - p95_ms / 2) <= 0.01
        assert import_s > 0
        assert memory > 0
    assert ("ms a step: holds" in result.stdout) == (result.returncode == 0)


def test_a_run_that_answers_without_its_tools_is_not_measured(tmp_path):
    (tmp_path / "with_idler.py").write_text(
        "import task\n"
        "VERSION = '1'\n"
        "async def serve():\n"
        "    return task.ANSWER\n"
        "VARIANTS = {'run': lambda: serve}\n"
    )
    script = ROOT / "benchmarks" / "overhead_rivals" / "measure.py"

    result = run(script, "with_idler", "run", "3", PYTHONPATH=str(tmp_path))

    assert result.returncode == 1
    assert "the run went wrong" in result.stderr
    assert result.stdout == ""
