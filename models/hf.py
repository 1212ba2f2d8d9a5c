"""The `hf:` backend: models of transformers, on a GPU or on the CPU, quantized by bitsandbytes or not.

All work on tensors happens in one thread per model, which takes whatever is asked at the moment in one go: scores as one
tree of tokens over the prefix cache, texts as one growing batch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..core import ModelError, UsageError
from .base import GenerateConfig, ModelOutput, Prompt, ScoreItem, Scores, Shape
from .hf_forward import PackedModel
from .hf_generate import Decoder
from .hf_jobs import GenerateJob, Job, ScoreJob
from .hf_loading import Quantization, load_weights
from .hf_prompt import PromptEncoder
from .hf_score import Scorer
from .hf_shapes import ShapeCompiler
from .prefix_cache import PrefixCache
from .shapes import check_shape


class HFModel:
    """A model that runs in this process. Made by `load`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        name: str,
        cache_bytes: int = 2 << 30,
    ) -> None:
        """Takes the model over: afterwards it computes packed batches only.

        Raises:
            NotSupportedError: the model's architecture does something that packed batches cannot.
        """
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        packed = PackedModel(model)
        encoder = PromptEncoder(tokenizer)
        cache = PrefixCache(max_bytes=cache_bytes)
        shapes = ShapeCompiler(tokenizer, encoder, vocabulary=packed.vocabulary)
        self._thread = threading.Thread(
            target=_work,
            args=(
                self._jobs,
                Scorer(packed, cache, encoder),
                Decoder(packed, cache, encoder, shapes),
            ),
            name=f"toolverifier {name}",
            daemon=True,
        )
        self._thread.start()
        # The thread ends with its model or with the program, also where nobody closes it.
        weakref.finalize(self, _stop, self._jobs, self._thread)

    @classmethod
    async def load(
        cls,
        name: str,
        *,
        quantization: Quantization | None = None,
        device: str | None = None,
        cache_bytes: int = 2 << 30,
    ) -> HFModel:
        """Loads a model.

        Args:
            name: a name of the catalog, a folder, a ``.gguf`` file, or a name on the model hub.
            quantization: None keeps a checkpoint as it is; a GGUF file becomes bf16.
            device: as torch names it; None takes a GPU where there is one.
            cache_bytes: bound of the prefix cache.

        Raises:
            MissingModelError: there is no such model here, and it could not be got.
            NotSupportedError: the model is of a kind that this backend cannot run.
            ModelError: loading failed, for example for want of memory.
        """
        model, tokenizer = await load_weights(name, quantization=quantization, device=device)
        full_name = f"hf:{name}#{quantization}" if quantization else f"hf:{name}"
        return await asyncio.to_thread(
            cls, model, tokenizer, name=full_name, cache_bytes=cache_bytes
        )

    @property
    def name(self) -> str:
        """``hf:``, the name that was loaded, and ``#`` with the quantization where one was asked for."""
        return self._name

    async def generate(
        self, prompt: Prompt, *, shape: Shape = None, config: GenerateConfig = GenerateConfig()
    ) -> ModelOutput:
        """Returns the model's text after the prompt, in the given shape.

        Stop strings are for free text; a shape ends by itself. The log probabilities of first tokens are the model's
        own; with a shape they are those of the tokens that it allows.
        """
        check_shape(shape)
        future: Future[ModelOutput] = Future()
        self._submit(GenerateJob(prompt=prompt, shape=shape, config=config, future=future))
        return await asyncio.wrap_future(future)

    async def score(self, items: Sequence[ScoreItem]) -> Scores:
        """Returns the log-likelihood of every item's continuation.

        Prompt and continuation are tokenized apart. Prompts stay in the prefix cache.
        """
        for index, item in enumerate(items):
            if not item.continuation and not item.end:
                raise UsageError(
                    f"item {index} has nothing to score: continuation is '', end is False"
                )
        if not items:
            return Scores(values=(), tokens=())
        future: Future[Scores] = Future()
        self._submit(ScoreJob(items=tuple(items), future=future))
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        """Gives back the weights and the cache, after what was asked for before is done."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _submit(self, job: Job) -> None:
        with self._closing:
            if self._closed:
                raise ModelError(f"{self._name} is closed")
            self._jobs.put(job)


def _work(jobs: queue.SimpleQueue[Job | None], scorer: Scorer, decoder: Decoder) -> None:
    """Does the jobs until None comes and everything before it is done. Runs in the model's thread."""
    closing = False
    with torch.inference_mode():
        while not closing or decoder.busy:
            arrived = _drain(jobs, wait=not decoder.busy)
            closing = closing or None in arrived
            waited_for = [job for job in arrived if job and not job.future.cancelled()]
            scorer.score([job for job in waited_for if isinstance(job, ScoreJob)])
            decoder.admit([job for job in waited_for if isinstance(job, GenerateJob)])
            decoder.step()


def _stop(jobs: queue.SimpleQueue[Job | None], thread: threading.Thread) -> None:
    jobs.put(None)
    if threading.current_thread() is not thread:
        thread.join()


def _drain(jobs: queue.SimpleQueue[Job | None], *, wait: bool) -> list[Job | None]:
    """Returns the jobs that are there, waiting for a first one where that is asked for."""
    arrived = [jobs.get()] if wait else []
    while True:
        try:
            arrived.append(jobs.get_nowait())
        except queue.Empty:
            return arrived
