"""From a model's name to a model."""

from __future__ import annotations

from typing import Literal

from ..core import MissingModelError, UsageError
from .base import Model
from .openai import OpenAIModel

DEFAULT_MODEL = "hf:qwen2.5-coder-1.5b#nf4"
"""What the command line takes where no model is named; it can be had from a package registry alone."""

_QUANTIZATIONS: dict[str, Literal["bf16", "nf4", "int8"]] = {
    "bf16": "bf16",
    "int8": "int8",
    "nf4": "nf4",
}


async def load_model(name: str) -> Model:
    """Returns the model of that name.

    ``hf:NAME`` is a model for this machine: a name of the catalog, a folder, or a name at the model hub, optionally
    with ``#nf4``, ``#int8`` or ``#bf16`` at its end. ``openai:MODEL@URL`` is one behind an OpenAI-compatible server.

    Raises:
        UsageError: no such kind of name.
        MissingModelError: the packages or the weights are not here; says how to get them.
    """
    kind, _, rest = name.partition(":")
    if kind == "hf" and rest:
        return await _load_hf(rest)
    if kind == "openai":
        model, _, url = rest.rpartition("@")
        if model and url:
            return OpenAIModel(model, base_url=url)
    raise UsageError(f"model {name!r}: write hf:NAME or openai:MODEL@URL")


async def _load_hf(name: str) -> Model:
    try:
        from .hf import HFModel  # heavy and optional: torch, transformers
    except ImportError as error:
        raise MissingModelError(
            f"hf:{name} needs packages that are not here ({error.name or error}); pip install 'toolverifier[hf]'"
        ) from None
    bare, _, ending = name.rpartition("#")
    if bare and ending in _QUANTIZATIONS:
        return await HFModel.load(bare, quantization=_QUANTIZATIONS[ending])
    return await HFModel.load(name)
