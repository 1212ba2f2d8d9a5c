"""What an agent framework adds to a run whose model answers at once: `python -m benchmarks.overhead`.

Every framework makes the same run (two tool calls, then an answer) in processes of its own. All of a run's time counts,
the tools and the model's look-up of its answer included; a step is half a run, so that the answer counts too.
`--setup FOLDER` makes an environment there for each framework; without it, those that are installed here are measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RIVALS = Path(__file__).parent / "overhead_rivals"
STEPS = 2
LIMIT_MS = 1.0
"""What a step of toolverifier may take."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A framework, and one way to use it."""

    package: str
    """Where it is imported from; its script is ``with_PACKAGE.py``."""
    variant: str
    install: str | None = None
    """What pip installs; None where it is this project."""


SUBJECTS = (
    Subject(package="toolverifier", variant="2 tools"),
    Subject(package="toolverifier", variant="15 tools"),
    Subject(package="toolverifier", variant="15 tools, always looking again"),
    Subject(package="langchain", variant="invoke", install="langchain"),
    Subject(package="langchain", variant="ainvoke", install="langchain"),
    Subject(package="pydantic_ai", variant="run", install="pydantic-ai-slim"),
    Subject(package="smolagents", variant="run", install="smolagents"),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the processes of one subject measured."""

    version: str
    run_ms: tuple[float, ...]
    import_s: float
    rss_mib: float

    def row(self, subject: Subject) -> str:
        """Returns the line of the table."""
        median = statistics.median(self.run_ms)
        p95 = statistics.quantiles(self.run_ms, n=20, method="inclusive")[-1]
        cells = [f"{median:.2f}", f"{p95:.2f}", f"{median / STEPS:.2f}", f"{p95 / STEPS:.2f}"]
        cells += [f"{self.import_s:.2f}", f"{self.rss_mib:.0f}"]
        name = f"{subject.package} {self.version}, {subject.variant}"
        return f"| {name} | {' | '.join(cells)} |"


def interpreter_of(subject: Subject, setup: Path | None) -> Path | None:
    """Returns the interpreter that has the subject's package, or None where none has; makes it in the set-up folder."""
    here = Path(sys.executable)
    if subject.install is None or (setup is None and importlib.util.find_spec(subject.package)):
        return here
    if setup is None:
        return None
    folder = setup / subject.install
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", subject.install]
        subprocess.run(command, check=True)
        ready.touch()
    return python


def measure(subject: Subject, python: Path, runs: int) -> dict[str, Any]:
    """Returns what one process measured."""
    script = RIVALS / "measure.py"
    command = [python, script, f"with_{subject.package}", subject.variant, str(runs)]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode:
        raise SystemExit(f"{subject.package}, {subject.variant}: failed\n{output.stderr}")
    measured: dict[str, Any] = json.loads(output.stdout)
    return measured


def measure_all(
    pythons: Mapping[Subject, Path], *, runs: int, rounds: int
) -> dict[Subject, Measured]:
    """Measures round by round, so that what else the machine does meets all alike."""
    results: dict[Subject, list[dict[str, Any]]] = {subject: [] for subject in pythons}
    for _ in range(rounds):
        for subject, python in pythons.items():
            results[subject].append(measure(subject, python, runs))
    return {
        subject: Measured(
            version=found[0]["version"],
            run_ms=tuple(seconds * 1000 for result in found for seconds in result["run_s"]),
            import_s=statistics.median(result["import_s"] for result in found),
            rss_mib=statistics.median(result["rss_mib"] for result in found),
        )
        for subject, found in results.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where a step of toolverifier takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--setup", type=Path, help="folder for an environment of each framework")
    parser.add_argument("--runs", type=int, default=100, help="measured runs of each process")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each line")
    options = parser.parse_args(arguments)
    setup = options.setup and options.setup.resolve()
    found = {subject: interpreter_of(subject, setup) for subject in SUBJECTS}
    pythons = {subject: python for subject, python in found.items() if python is not None}
    measured = measure_all(pythons, runs=options.runs, rounds=options.rounds)
    print(f"{options.rounds} processes a line, {options.runs} runs each after a warm-up; ms")
    print("\n| framework | run | run p95 | step | step p95 | import, s | peak memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    for subject, result in measured.items():
        print(result.row(subject))
    for package, install in dict.fromkeys(
        (subject.package, subject.install) for subject in SUBJECTS if found[subject] is None
    ):
        print(f"\n{package} was left out: pip install {install}, or name a folder with --setup")
    ours = {subject: result for subject, result in measured.items() if subject.install is None}
    worst = max(statistics.median(result.run_ms) for result in ours.values()) / STEPS
    verdict = "holds" if worst < LIMIT_MS else "does not hold"
    print(
        f"\nThe loop adds under {LIMIT_MS:g} ms a step: {verdict} (slowest median {worst:.2f} ms)"
    )
    return 0 if worst < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
