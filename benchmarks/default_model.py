"""Which model should be the default: ``python -m benchmarks.default_model``.

Every candidate, in a process of its own, serves the demo's questions: the whole way from a request to a checked answer. The
default is the one with the most right answers whose verified calls take at most 10 s on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import resource
import subprocess
import sys
import time
from statistics import fmean, median
from typing import Any

from toolverifier import Agent, load_model, workspace
from toolverifier.cli.demo import FOLDER, QUESTIONS, missing_truths

CANDIDATES = tuple(
    f"hf:qwen2.5-coder-{size}#{quantization}"
    for size in ("0.5b", "1.5b")
    for quantization in ("bf16", "nf4", "int8")
)


async def measure(name: str) -> dict[str, Any]:
    """Returns what one model makes of the questions."""
    started = time.perf_counter()
    model = await load_model(name)
    load_s = time.perf_counter() - started
    agent = Agent(model, tools=workspace(FOLDER))
    await agent.run(QUESTIONS[0].request)  # the library is read once, before anything is timed
    runs = []
    for question in QUESTIONS:
        trajectory = await agent.run(question.request)
        calls = [step.seconds for step in trajectory.steps if step.result]
        runs.append((question, trajectory, missing_truths(question, trajectory), calls))
    await model.aclose()
    seconds = [second for *_, calls in runs for second in calls]
    return {
        "model": name,
        "load_s": load_s,
        "right": sum(not wrong for _, _, wrong, _ in runs),
        "of": len(runs),
        "call_s": {"median": median(seconds), "max": max(seconds)},
        "run_s": fmean(trajectory.seconds for _, trajectory, _, _ in runs),
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "wrong": {question.request: wrong for question, _, wrong, _ in runs if wrong},
    }


def markdown(reports: list[dict[str, Any]]) -> str:
    """Returns the reports as a table."""
    lines = [
        f"{platform.system()} {platform.machine()}, {len(QUESTIONS)} questions of `toolverifier demo`.",
        "",
        "| model | right | s a verified call, median (max) | s a run, with its answer | load, s | memory, GiB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each['model']} | {each['right']} of {each['of']} | {each['call_s']['median']:.1f} ({each['call_s']['max']:.1f}) "
        f"| {each['run_s']:.1f} | {each['load_s']:.1f} | {each['memory_gib']:.1f} |"
        for each in reports
    ]
    for each in reports:
        lines += ["", f"Wrong with {each['model']}:", ""]
        lines += [f"- {request} {wrong}" for request, wrong in each["wrong"].items()] or ["- none"]
    return "\n".join(lines)


def main() -> None:
    """Prints the table; with ``--one NAME`` the figures of one model as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", metavar="NAME", help="measure one model in this process")
    parser.add_argument("models", nargs="*", default=CANDIDATES)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asyncio.run(measure(options.one))))
        return
    reports = []
    for name in options.models:
        print(f"measuring {name}", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.default_model", "--one", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        reports.append(json.loads(done.stdout.splitlines()[-1]))
    print(markdown(reports))


if __name__ == "__main__":
    main()
