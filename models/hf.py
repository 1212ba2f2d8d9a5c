"""The `hf:` backend: models of transformers, on a GPU or on the CPU, quantized by bitsandbytes or not.

All work on tensors happens in one thread per model, which takes whatever is asked at the moment in one go: scores as one
tree of tokens over the prefix cache, texts as one growing batch.
"""

from __future__ import annotations

import asyncio
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
from .hf_jobs import GenerateJob, Job, JobQueue, ScoreJob, fail
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
        self._jobs = JobQueue()
        packed = PackedModel(model)
        encoder = PromptEncoder(tokenizer)
        cache = PrefixCache(max_bytes=cache_bytes)
        shapes = ShapeCompiler(tokenizer, encoder, vocabulary=packed.vocabulary)
        self._thread = threading.Thread(
            target=_work,
            args=(
                name,
                self._jobs,
                Scorer(packed, cache, encoder),
                Decoder(packed, cache, encoder, shapes),
            ),
            name=f"toolverifier {name}",
            daemon=True,
        )
        self._thread.start()
        # The thread ends with its model or with the program, also where nobody closes it.
        weakref.finalize(self, _stop, name, self._jobs, self._thread)

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
        self._jobs.put(GenerateJob(prompt=prompt, shape=shape, config=config, future=future))
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
        self._jobs.put(ScoreJob(items=tuple(items), future=future))
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        """Gives back the weights and the cache, after what was asked for before is done."""
        self._jobs.close(f"{self._name} is closed")
        await asyncio.to_thread(self._thread.join)


def _work(name: str, jobs: JobQueue, scorer: Scorer, decoder: Decoder) -> None:
    """Does the jobs until None comes and everything before it is done. Runs in the model's thread."""
    closing = False
    unanswered: list[Job] = []
    try:
        with torch.inference_mode():
            while not closing or decoder.busy:
                arrived = jobs.take(wait=not decoder.busy)
                closing = closing or None in arrived
                new = [job for job in arrived if job and not job.future.cancelled()]
                unanswered = [job for job in unanswered if not job.future.done()] + new
                scorer.score([job for job in new if isinstance(job, ScoreJob)])
                decoder.admit([job for job in new if isinstance(job, GenerateJob)])
                decoder.step()
    except BaseException as error:
        # Whatever it is (a panic in Rust is no Exception), without this thread nobody would ever get an answer.
        reason = f"{name} broke and is closed; load it again ({type(error).__name__}: {error})"
        jobs.close(reason)
        for job in [*unanswered, *jobs.take(wait=False)]:
            if job:
                broken = ModelError(reason)
                broken.__cause__ = error
                fail(job.future, broken)


def _stop(name: str, jobs: JobQueue, thread: threading.Thread) -> None:
    jobs.close(f"{name} is closed")
    if threading.current_thread() is not thread:
        thread.join()
