"""Measures one framework in this process: `python measure.py MODULE VARIANT RUNS`; prints JSON.

Run by `benchmarks.overhead` with the interpreter that has the framework, so it needs nothing else.
"""

import asyncio
import importlib
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable

import task

WARM_UP_RUNS = 30


async def seconds_of(serve: Callable[[], Awaitable[str]], runs: int) -> list[float]:
    """Returns the wall-clock seconds of each run after the warm-up; every run must call both tools and answer."""
    seconds = []
    for _ in range(WARM_UP_RUNS + runs):
        task.made.clear()
        started = time.perf_counter()
        answer = await serve()
        seconds.append(time.perf_counter() - started)
        calls = tuple(sorted(task.made, reverse=True))  # made side by side, they come in any order
        if (answer, calls) != (task.ANSWER, task.CALLS):
            raise SystemExit(f"the run went wrong: {answer!r} after {calls!r}")
    return seconds[WARM_UP_RUNS:]


def main() -> None:
    """Prints version, seconds of the import, seconds of every run, and the peak of the resident memory."""
    name, variant, runs = sys.argv[1:]
    started = time.perf_counter()
    module = importlib.import_module(name)
    import_s = time.perf_counter() - started
    seconds = asyncio.run(seconds_of(module.VARIANTS[variant](), int(runs)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "version": module.VERSION,
        "import_s": import_s,
        "run_s": seconds,
        "rss_mib": peak / (1024 * 1024 if sys.platform == "darwin" else 1024),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
