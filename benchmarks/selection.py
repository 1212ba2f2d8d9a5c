"""How often the right tool is chosen, and at what cost: ``python -m benchmarks.selection --model NAME``.

Two sets: 200 seeded rows of ToolSelect, and the open_weather and the_cat_api requests of ToolBench over their joint
library. Every decision is the agent's own, one after the other; what each piece of evidence alone would choose is read
from the decision's record. "None" is a candidate in the combination, and choosing it counts as wrong here, where every
request has a tool.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median
from typing import Any

from benchmarks.data import Labelled, data_folder, joint_library, toolselect_sample
from toolverifier import ToolSpec, __version__, load_model
from toolverifier.core import UsageError
from toolverifier.models import DEFAULT_MODEL, ScoreItem
from toolverifier.verification import NONE, PairLook, ToolDecider, ToolDecision

SEED = 7
TOOLSELECT_ROWS = 200
PIECES = ("lexical", "channel", "direct")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A decided row."""

    row: Labelled
    decision: ToolDecision
    seconds: float
    request_tokens: int
    pair_log_odds: float
    """What the pair look by itself says for the first of the best two."""

    def alone(self, piece: str) -> str:
        """Returns the tool that one piece of evidence by itself would choose."""
        tools = [each for each in self.decision.candidates if each.name != NONE]
        return max(tools, key=lambda each: each.evidence.get(piece, -math.inf)).name

    @property
    def pair_alone(self) -> str:
        """What the pair look by itself makes of the best two."""
        return self.best_two[0 if self.pair_log_odds >= 0 else 1]

    @property
    def best_two(self) -> tuple[str, str]:
        """The two candidates that led before any second look."""
        if self.decision.verdicts:
            return self.decision.verdicts[0].candidates
        return self.decision.candidates[0].name, self.decision.candidates[1].name


async def decide_all(
    decider: ToolDecider, rows: Sequence[Labelled], *, label: str
) -> list[Outcome]:
    """Returns a decision for every row, one after the other so that seconds mean something."""
    outcomes = []
    for number, row in enumerate(rows, start=1):
        started = time.perf_counter()
        decision = await decider.decide(row.request, row.tools)
        seconds = time.perf_counter() - started
        counted = await decider.model.score([ScoreItem(prompt="-", continuation=row.request)])
        outcome = Outcome(
            row=row,
            decision=decision,
            seconds=seconds,
            request_tokens=counted.tokens[0],
            pair_log_odds=0.0,
        )
        by_name: dict[str, ToolSpec | None] = {tool.name: tool for tool in row.tools}
        first, second = (by_name.get(name) for name in outcome.best_two)
        look = await PairLook().look(
            row.request, (first, second), model=decider.model, priors=decider.priors
        )
        outcomes.append(replace(outcome, pair_log_odds=look.log_odds))
        print(f"\r{label} {number}/{len(rows)}", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return outcomes


def wilson(share: float, n: int) -> tuple[float, float]:
    """Returns the 95 % Wilson score interval of a proportion (Wilson 1927)."""
    z = 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half, centre + half


def measure(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Returns the figures of one set."""
    n = len(outcomes)
    right: dict[str, float] = {
        "chance": fmean(1 / len(each.row.tools) for each in outcomes),
        **{
            piece: fmean(each.alone(piece) == each.row.gold for each in outcomes)
            for piece in PIECES
        },
        "pair, of the best two": fmean(each.pair_alone == each.row.gold for each in outcomes),
        "combination, no second look": fmean(
            each.best_two[0] == each.row.gold for each in outcomes
        ),
        "combination with second look": fmean(
            each.decision.tool == each.row.gold for each in outcomes
        ),
        "gold in the best two": fmean(each.row.gold in each.best_two for each in outcomes),
    }
    looked = [each for each in outcomes if each.decision.verdicts]
    fixed = sum(each.best_two[0] != each.row.gold == each.decision.tool for each in looked)
    broken = sum(each.best_two[0] == each.row.gold != each.decision.tool for each in looked)
    # The first request to a library pays for the library; what comes later is what a user pays.
    warm = [each for number, each in enumerate(outcomes) if number]
    new = sum(each.request_tokens * len(each.decision.candidates) for each in warm)
    return {
        "n": n,
        "right": {
            name: {"share": share, "interval": wilson(share, n)} for name, share in right.items()
        },
        "looked_again": {"rows": len(looked), "fixed": fixed, "broken": broken},
        "chose_none": sum(each.decision.tool is None for each in outcomes),
        "tokens": {
            kind: fmean(asdict(each.decision.usage)[kind] for each in warm)
            for kind in ("computed_tokens", "reused_tokens", "generated_tokens")
        },
        "computed_for_each_new": sum(each.decision.usage.computed_tokens for each in warm) / new,
        "seconds": {
            "median": median(each.seconds for each in warm),
            "p95": sorted(each.seconds for each in warm)[int(0.95 * len(warm))],
        },
        "wrong": [
            {
                "id": each.row.id,
                "gold": each.row.gold,
                "chosen": each.decision.tool or NONE,
                "probability": round(each.decision.candidates[0].probability, 3),
            }
            for each in outcomes
            if each.decision.tool != each.row.gold
        ],
    }


def markdown(report: dict[str, Any]) -> str:
    """Returns the report as tables."""
    names = list(report["sets"])
    lines = [
        f"Model {report['model']}, toolverifier {report['version']}, seed {SEED}, {report['machine']}.",
        "",
        f"| accuracy (95 % interval) | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for row in next(iter(report["sets"].values()))["right"]:
        cells = []
        for figures in report["sets"].values():
            low, high = figures["right"][row]["interval"]
            share = figures["right"][row]["share"]
            cells.append(
                f"{share:.3f}" if row == "chance" else f"{share:.3f} ({low:.2f} to {high:.2f})"
            )
        lines.append(f"| {row} | {' | '.join(cells)} |")
    for label, show in (
        ("n", lambda f: f"{f['n']}"),
        ("looked again", lambda f: f"{f['looked_again']['rows']} rows"),
        (
            "second look fixed, broke",
            lambda f: f"{f['looked_again']['fixed']}, {f['looked_again']['broken']}",
        ),
        ("chose none", lambda f: f"{f['chose_none']}"),
        ("tokens computed a decision", lambda f: f"{f['tokens']['computed_tokens']:.0f}"),
        (
            "tokens computed for each of the request's, times candidates",
            lambda f: f"{f['computed_for_each_new']:.2f}",
        ),
        ("tokens reused a decision", lambda f: f"{f['tokens']['reused_tokens']:.0f}"),
        (
            "seconds a decision, median (p95)",
            lambda f: f"{f['seconds']['median']:.2f} ({f['seconds']['p95']:.2f})",
        ),
    ):
        lines.append(f"| {label} | {' | '.join(show(f) for f in report['sets'].values())} |")
    for name, figures in report["sets"].items():
        lines += ["", f"Wrong on {name}:", ""]
        lines += [
            f"- {each['id']}: {each['chosen']} ({each['probability']}) for {each['gold']}"
            for each in figures["wrong"]
        ] or ["- none"]
    return "\n".join(lines)


async def run(
    model_name: str, data: str | None, only: str | None, limit: int | None
) -> dict[str, Any]:
    """Measures both sets, or only one, with one model."""
    folder = data_folder(data)
    sets = {
        "ToolSelect": toolselect_sample(folder, count=TOOLSELECT_ROWS, seed=SEED),
        "joint library": joint_library(folder),
    }
    model = await load_model(model_name)
    try:
        decider = ToolDecider(model)
        figures = {
            name: measure(await decide_all(decider, rows[:limit], label=name))
            for name, rows in sets.items()
            if only in (None, name)
        }
        return {
            "model": model.name,
            "version": __version__,
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "weights": asdict(decider.weights),
            "sets": figures,
        }
    finally:
        await model.aclose()


def main() -> None:
    """Prints the tables, or with ``--json`` the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", help="folder with toolselect/ and toolbench/")
    parser.add_argument("--only", choices=("ToolSelect", "joint library"))
    parser.add_argument("--limit", type=int, help="only the first rows of each set")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        report = asyncio.run(run(options.model, options.data, options.only, options.limit))
    except UsageError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(report, indent=2) if options.json else markdown(report))


if __name__ == "__main__":
    main()
