"""Weights for the `hf:` backend: from a model hub, a folder, a GGUF file, or the catalog; quantized or not.

A GGUF file is unpacked once and kept beside the catalog's files, and so is its quantized form, so that the next load
takes seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from ..core import MissingModelError, ModelError, NotSupportedError
from .catalog import cache_folder, ensure, entries

Quantization = Literal["bf16", "nf4", "int8"]
Weights = tuple[PreTrainedModel, PreTrainedTokenizerFast]


async def load_weights(
    name: str, *, quantization: Quantization | None, device: str | None
) -> Weights:
    """Returns model and tokenizer.

    Args:
        name: a name of the catalog, a folder, a ``.gguf`` file, or a name on the model hub.
        quantization: None keeps a checkpoint as it is; a GGUF file becomes bf16.
        device: as torch names it; None takes a GPU where there is one.

    Raises:
        MissingModelError: there is no such model here, and it could not be got.
        NotSupportedError: the model is of a kind that this backend cannot run.
        ModelError: loading failed, for example for want of memory.
    """
    path = Path(name).expanduser()
    known = {entry.name: entry for entry in entries()}
    if name in known and not path.is_dir():
        file = await ensure(name)
        return await asyncio.to_thread(
            _load_gguf, file, known[name].sha256, quantization, _device(device)
        )
    if path.suffix == ".gguf" and path.is_file():
        digest = await asyncio.to_thread(_sha256, path)
        return await asyncio.to_thread(_load_gguf, path, digest, quantization, _device(device))
    if path.is_dir() and not (path / "config.json").is_file():
        raise MissingModelError(f"no model in the folder {str(path)!r}: it has no config.json")
    source = str(path) if path.is_dir() else name
    return await asyncio.to_thread(_load, source, quantization, _device(device))


def _device(device: str | None) -> str:
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_gguf(path: Path, digest: str, quantization: Quantization | None, device: str) -> Weights:
    """Loads a GGUF file through its kept form, which is made first where it is missing."""
    stem = f"{path.stem}-{digest[:12]}-transformers{version('transformers')}"
    dense = _kept(f"{stem}-bf16", lambda: _unpack(path))
    if quantization in (None, "bf16"):
        return _load(str(dense), None, device)
    tag = f"{quantization}-bitsandbytes{version('bitsandbytes')}"
    # What bitsandbytes saved can be loaded on either device; it is made where it is needed first.
    folder = _kept(f"{stem}-{tag}", lambda: _load(str(dense), quantization, device))
    return _load(str(folder), None, device)


def _kept(name: str, make: Callable[[], Weights]) -> Path:
    """Returns the folder of that name in the cache, filled with what `make` returns where it is missing.

    Raises:
        ModelError: it cannot be written, for example for want of room.
    """
    folder = cache_folder() / "converted" / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{name}.lock")):
            if not folder.is_dir():
                _save(*make(), folder)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot keep the converted model as {str(folder)!r}: {error}") from error
    return folder


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes both into the folder, wholly or not at all."""
    needed, free = model.get_memory_footprint(), shutil.disk_usage(folder.parent).free
    if free < needed:
        raise ModelError(
            f"the converted model needs {needed / 1e9:.1f} GB in {str(folder.parent)!r}, where {free / 1e9:.1f} GB are "
            "free: make room, or name another folder in TOOLVERIFIER_CACHE"
        )
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with _quiet():
            model.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unpack(path: Path) -> Weights:
    """Returns the weights of a GGUF file in bf16."""
    model, tokenizer = _pretrained(
        str(path.parent),
        gguf_file=path.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    # The weights are dense now; with its quantizer the model would refuse to be saved.
    vars(model).pop("hf_quantizer", None)
    return model, tokenizer


def _load(source: str, quantization: Quantization | None, device: str) -> Weights:
    options: dict[str, Any] = {"dtype": "auto"}
    if quantization is not None:
        options["dtype"] = torch.bfloat16
    if quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    elif quantization == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    return _pretrained(source, device_map={"": device}, attn_implementation="sdpa", **options)


def _pretrained(source: str, *, gguf_file: str | None = None, **options: Any) -> Weights:
    """Loads through transformers, with the project's errors for what can go wrong."""
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                source, gguf_file=gguf_file, trust_remote_code=False
            )
            model = AutoModelForCausalLM.from_pretrained(
                source, gguf_file=gguf_file, trust_remote_code=False, **options
            )
    except OSError as error:
        raise MissingModelError(
            f"no model {source!r}: not in the catalog, no folder of that name, and the model hub did not give it ({error})"
        ) from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(f"{source!r} does not fit into memory: {error}") from error
    except (ValueError, ImportError) as error:
        raise NotSupportedError(f"cannot load {source!r}: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise NotSupportedError(f"{source!r} has no fast tokenizer")
    return model.eval(), tokenizer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers' progress bars and remarks out of the terminal, and for good those of bitsandbytes.

    That one remarks on a kernel that only its hub has, and on every product of an int8 layer that it works in float16.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
