"""What batching, caching and quantization cost and save: ``python -m benchmarks.backends --model NAME``.

Three questions about the `hf:` backend, each quantization in a process of its own:

1. Parity: are scores through packed batches and the prefix cache those of a plain forward pass, item by item? Beside
   it stands what rounding alone does: the same plain pass in bf16 and in float32.
2. Winners: on seeded ToolSelect rows, does a quantized model choose the tool that the bf16 model chooses, by the
   log-likelihood of the request given each tool?
3. Speed and memory, and what a warm decision over the 15 tools of the joint ToolBench library costs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from benchmarks.data import Labelled, data_folder, joint_library, toolselect_sample
from toolverifier.core import ToolVerifierError
from toolverifier.models import DEFAULT_MODEL, GenerateConfig, ScoreItem
from toolverifier.models.hf import HFModel
from toolverifier.models.hf_loading import Quantization, load_weights
from toolverifier.verification.prompts import channel_prompt, direct_prompt

SEED = 7
QUANTIZATIONS = ("bf16", "nf4", "int8")
REFERENCE = "float32"
PARITY_ROWS = 6
DECISIONS = 20
PROMPT_TOKENS = 1000
DECODED_TOKENS = 48
REPEATS = 3


def channel_items(row: Labelled) -> list[ScoreItem]:
    """Returns the request after each of the row's tools."""
    return [
        ScoreItem(prompt=channel_prompt(tool), continuation=row.request, end=True)
        for tool in row.tools
    ]


def direct_items(row: Labelled) -> list[ScoreItem]:
    """Returns each of the row's names after the request."""
    prompt = direct_prompt(row.tools, row.request)
    return [ScoreItem(prompt=prompt, continuation=tool.name, end=True) for tool in row.tools]


def plain_score(model: Any, tokenizer: Any, item: ScoreItem) -> tuple[float, int]:
    """Returns an item's score by one forward pass of transformers over all of it, and its number of tokens."""
    turns = [{"role": message.role, "content": message.content} for message in item.prompt]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    before = tokenizer.encode(text, add_special_tokens=False)
    after = tokenizer.encode(item.continuation, add_special_tokens=False)
    after += [tokenizer.eos_token_id] * item.end
    with torch.inference_mode():
        logits = model(torch.tensor([before + after], device=model.device)).logits[0]
    logprobs = logits[len(before) - 1 : -1].float().log_softmax(-1)
    chosen = logprobs.gather(1, torch.tensor(after, device=model.device)[:, None])
    return chosen.sum().item(), len(after)


def parity_items(sample: Sequence[Labelled]) -> list[ScoreItem]:
    """Returns requests after tools, then names after requests; as many of the one as of the other."""
    rows = sample[:PARITY_ROWS]
    return [item for items in (channel_items, direct_items) for row in rows for item in items(row)]


async def measure_speed(model: HFModel) -> dict[str, float]:
    """Returns tokens per second of reading and of writing."""
    prefill, decode, together = [], [], []
    for number in range(REPEATS):
        prompt = f"Report {number}:" + " the weather in city" * (PROMPT_TOKENS // 4)
        start = time.perf_counter()
        scores = await model.score([ScoreItem(prompt=prompt, continuation=" is")])
        prefill.append(scores.usage.computed_tokens / (time.perf_counter() - start))
        config = GenerateConfig(max_tokens=DECODED_TOKENS, temperature=1.0, seed=number)
        start = time.perf_counter()
        output = await model.generate(prompt, config=config)
        decode.append(output.usage.generated_tokens / (time.perf_counter() - start))
        start = time.perf_counter()
        outputs = await asyncio.gather(*(model.generate(prompt, config=config) for _ in range(8)))
        written = sum(output.usage.generated_tokens for output in outputs)
        together.append(written / (time.perf_counter() - start))
    return {
        "prefill": median(prefill),
        "decode": median(decode),
        "decode_8": median(together),
    }


async def measure_decisions(model: HFModel, rows: Sequence[Labelled]) -> dict[str, float]:
    """Returns seconds of a decision by channel and direct scores, and what the channel computes, from the second on."""
    seconds, ratios = [], []
    for row in rows:
        start = time.perf_counter()
        channel = await model.score(channel_items(row))
        await model.score(direct_items(row))
        seconds.append(time.perf_counter() - start)
        new = channel.tokens[0] * len(row.tools)
        ratios.append(channel.usage.computed_tokens / new)
    return {
        "first_s": seconds[0],
        "warm_s": median(seconds[1:]),
        "slowest_warm_s": max(seconds[1:]),
        "largest_ratio": max(ratios[1:]),
    }


async def measure(
    name: str, data: str | None, rows: int, *, quantization: Quantization
) -> dict[str, Any]:
    """Measures one quantization in this process."""
    folder = data_folder(data)
    sample = toolselect_sample(folder, count=rows, seed=SEED)
    start = time.perf_counter()
    weights = await load_weights(name, quantization=quantization, device=None)
    items = parity_items(sample)
    loaded = time.perf_counter()
    expected = [plain_score(*weights, item) for item in items]
    checked = time.perf_counter()
    model = HFModel(*weights, name=f"hf:{name}#{quantization}")
    figures: dict[str, Any] = {
        "quantization": quantization,
        "load_s": time.perf_counter() - checked + loaded - start,
        "memory_mb": _memory_mb(),
    }
    figures["plain"] = expected
    figures["batched"] = (await model.score(items)).values
    figures["cached"] = (await model.score(items)).values
    figures |= await measure_speed(model)
    figures["decisions"] = await measure_decisions(model, joint_library(folder)[:DECISIONS])
    scores = [await model.score(channel_items(row)) for row in sample]
    figures["winners"] = [
        row.tools[max(range(len(row.tools)), key=each.values.__getitem__)].name
        for row, each in zip(sample, scores, strict=True)
    ]
    figures["right"] = sum(
        winner == row.gold for winner, row in zip(figures["winners"], sample, strict=True)
    )
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await model.aclose()
    return figures


async def measure_reference(name: str, data: str | None, rows: int) -> dict[str, Any]:
    """Returns the scores of plain passes in float32."""
    sample = toolselect_sample(data_folder(data), count=rows, seed=SEED)
    model, tokenizer = await load_weights(name, quantization="bf16", device=None)
    model.float()
    return {"plain": [plain_score(model, tokenizer, item) for item in parity_items(sample)]}


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_own_process(options: argparse.Namespace, only: str) -> dict[str, Any]:
    """Measures one quantization, or the reference, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.backends", "--model", options.model]
    command += ["--rows", str(options.rows), "--only", only]
    command += ["--data", options.data] if options.data else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


async def prepare(name: str) -> None:
    """Makes what loading keeps, so that the loads that are measured are not the first."""
    for quantization in QUANTIZATIONS:
        await load_weights(name, quantization=quantization, device=None)


def report_on(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of all quantizations, with what they were measured on."""
    asyncio.run(prepare(options.model))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    packages = ("torch", "transformers", "bitsandbytes")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return {
        "model": options.model,
        "rows": options.rows,
        "machine": f"{device}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}",
        "reference": in_own_process(options, REFERENCE),
        "quantizations": [in_own_process(options, each) for each in QUANTIZATIONS],
    }


def markdown(report: dict[str, Any]) -> str:
    """Returns the figures as tables."""
    figures = report["quantizations"]
    winners = figures[0]["winners"]
    lines = [
        f"`hf:{report['model']}` on {report['machine']}",
        "",
        "| | " + " | ".join(each["quantization"] for each in figures) + " |",
        "|---|" + "---|" * len(figures),
    ]

    def row(title: str, cells: Sequence[str]) -> None:
        lines.append(f"| {title} | " + " | ".join(cells) + " |")

    reference = report["reference"]["plain"]
    for part, title in ((0, "requests"), (1, "names")):
        row(
            f"{title}: batched against plain, nats a token, largest (mean)",
            [_difference(each["plain"], each["batched"], part) for each in figures],
        )
        row(
            f"{title}: batched from the cache against plain",
            [_difference(each["plain"], each["cached"], part) for each in figures],
        )
        row(
            f"{title}: plain against plain float32 of the same weights",
            [_difference(reference, [v for v, _ in each["plain"]], part) for each in figures],
        )
    row(
        f"same winner as {figures[0]['quantization']}, of {report['rows']} rows",
        [
            str(sum(a == b for a, b in zip(each["winners"], winners, strict=True)))
            for each in figures
        ],
    )
    row(f"right, of {report['rows']} rows", [str(each["right"]) for each in figures])
    for key, title in (
        ("prefill", "reading, tokens a second"),
        ("decode", "writing, tokens a second"),
        ("decode_8", "writing 8 texts at once, tokens a second"),
        ("load_s", "load (not the first), s"),
        ("memory_mb", "memory after loading, MB"),
        ("peak_mb", "memory at most, MB"),
    ):
        row(title, [f"{each[key]:.{1 if each[key] < 100 else 0}f}" for each in figures])
    decisions = [each["decisions"] for each in figures]
    row(
        "decision over 15 tools (channel and direct), first, s",
        [f"{each['first_s']:.2f}" for each in decisions],
    )
    row(
        f"the same, median (slowest) of the next {DECISIONS - 1}, s",
        [f"{each['warm_s']:.2f} ({each['slowest_warm_s']:.2f})" for each in decisions],
    )
    row(
        "channel tokens computed for each token of the request and tool, at most",
        [f"{each['largest_ratio']:.2f}" for each in decisions],
    )
    count = len(reference) // 2
    lines += ["", f"Parity is taken over {count} requests and {count} names."]
    return "\n".join(lines)


def _difference(plain: Sequence[tuple[float, int]], values: Sequence[float], part: int) -> str:
    """Returns largest and mean absolute difference in nats a token over one half of the items."""
    apart = [abs(value - other) / n for (value, n), other in zip(plain, values, strict=True)]
    half = len(apart) // 2
    chosen = apart[half * part : half * (part + 1)]
    return f"{max(chosen):.3f} ({fmean(chosen):.4f})"


def main() -> None:
    """Prints the table, or with ``--json`` the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=DEFAULT_MODEL.removeprefix("hf:"))
    parser.add_argument("--data", help="folder with toolselect/ and toolbench/")
    parser.add_argument("--rows", type=int, default=60, help="ToolSelect rows")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--only", choices=(*QUANTIZATIONS, REFERENCE), help="one, in this process, as JSON"
    )
    options = parser.parse_args()
    try:
        if options.only:
            what = (options.model, options.data, options.rows)
            figures = (
                measure_reference(*what)
                if options.only == REFERENCE
                else measure(*what, quantization=options.only)
            )
            print(json.dumps(asyncio.run(figures)))
            return
        report = report_on(options)
    except ToolVerifierError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(report, indent=2) if options.json else markdown(report))


if __name__ == "__main__":
    main()
