"""How often the right tool is chosen, at what cost: `python -m benchmarks.selection --model NAME`.

Two sets: 200 seeded rows of ToolSelect, and the open_weather and the_cat_api requests of ToolBench over their joint
library. Every decision is the agent's own; the accuracy of each piece alone is read from the evidence that it recorded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.data import Labelled
from toolverifier.verification import NONE, ToolDecider, ToolDecision

SEED = 7
TOOLSELECT_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A decided row."""

    row: Labelled
    decision: ToolDecision
    seconds: float

    def choice(self, piece: str) -> str:
        """Returns the tool that one piece of evidence alone would choose; "none" counts for nobody."""
        tools = [each for each in self.decision.candidates if each.name != NONE]
        return max(tools, key=lambda each: each.evidence.get(piece, -math.inf)).name

    @property
    def before(self) -> tuple[str, str]:
        """The best two candidates before any second look."""
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
        outcomes.append(Outcome(row=row, decision=decision, seconds=time.perf_counter() - started))
        print(f"\r{label} {number}/{len(rows)}", end="", flush=True, file=__import__("sys").stderr)
    return outcomes


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Returns the 95 % Wilson score interval of a proportion (Wilson 1927)."""
    z = 1.959964
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half, centre + half
