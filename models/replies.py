"""What servers answer, checked field by field before anything is believed."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core import ModelError, Usage
from ..tools.json_text import shortened

Count = Annotated[int, Field(ge=0, le=10**9)]
LogProbability = Annotated[float, Field(allow_inf_nan=False)]


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Details(_Reply):
    cached_tokens: Count | None = None


class ReportedUsage(_Reply):
    """Tokens as an OpenAI-compatible server reports them."""

    prompt_tokens: Count = 0
    completion_tokens: Count | None = None
    prompt_tokens_details: _Details | None = None

    def usage(self) -> Usage:
        """The same in the project's terms, as one model call."""
        details = self.prompt_tokens_details
        reused = min((details and details.cached_tokens) or 0, self.prompt_tokens)
        return Usage(
            computed_tokens=self.prompt_tokens - reused,
            reused_tokens=reused,
            generated_tokens=self.completion_tokens or 0,
            model_calls=1,
        )


class TokenChance(_Reply):
    """A token that could stand at a place, with its log probability."""

    token: str
    logprob: LogProbability


class TokenPlace(_Reply):
    """A token of the text with those that could have stood there."""

    token: str
    logprob: LogProbability
    top_logprobs: list[TokenChance] | None = None


def chances(tokens: list[TokenChance] | None) -> dict[str, float]:
    """Log probabilities by token, at most 0 (servers round)."""
    return {chance.token: min(chance.logprob, 0.0) for chance in tokens or ()}


class LogProbabilities(_Reply):
    """Both forms: ``content`` as chats have it, parallel lists as completions have it."""

    content: list[TokenPlace] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[LogProbability | None] | None = None
    top_logprobs: list[dict[str, LogProbability] | None] | None = None
    text_offset: list[int] | None = None

    def first_token(self) -> dict[str, float]:
        """Log probabilities of the most probable first tokens."""
        if self.content:
            return chances(self.content[0].top_logprobs)
        first = self.top_logprobs[0] if self.top_logprobs else None
        return {token: min(value, 0.0) for token, value in (first or {}).items()}


class _Said(_Reply):
    content: str | None = None


class PromptToken(_Reply):
    """One token of a prompt, as vLLM reports it."""

    logprob: LogProbability


class Choice(_Reply):
    """The first of the texts in a reply: of a chat (``message``) or of a completion (``text``)."""

    text: str | None = None
    message: _Said | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: LogProbabilities | None = None
    prompt_logprobs: list[dict[str, PromptToken] | None] | None = None

    @property
    def said(self) -> str | None:
        """The text, wherever it stands."""
        return self.text if self.message is None else self.message.content

    @property
    def tells_stop_string(self) -> bool:
        """Whether the server says which stop string ended the text (None then means: none did)."""
        return "stop_reason" in self.model_fields_set


class Completion(_Reply):
    """A reply of ``/completions`` or ``/chat/completions``."""

    choices: list[Choice] = Field(min_length=1)
    usage: ReportedUsage | None = None


class Tokenized(_Reply):
    """A reply of vLLM's ``/tokenize``."""

    tokens: list[Count]


class Rendered(_Reply):
    """A reply of llama.cpp's ``/apply-template``."""

    prompt: str


class Properties(_Reply):
    """A reply of llama.cpp's ``/props``."""

    eos_token: str = Field(min_length=1)


class _Timings(_Reply):
    cache_n: Count = 0


class LlamaPlace(_Reply):
    """A decoded token of llama.cpp's own completion."""

    id: Count
    logprob: LogProbability
    top_logprobs: list[TokenChance] | None = None


class LlamaCompletion(_Reply):
    """A reply of llama.cpp's own ``/completion``."""

    content: str
    stop_type: str
    tokens_predicted: Count
    tokens_evaluated: Count
    timings: _Timings = _Timings()
    completion_probabilities: list[LlamaPlace] = []

    def usage(self) -> Usage:
        """The tokens in the project's terms, as one model call."""
        reused = min(self.timings.cache_n, self.tokens_evaluated)
        return Usage(
            computed_tokens=self.tokens_evaluated - reused,
            reused_tokens=reused,
            generated_tokens=self.tokens_predicted,
            model_calls=1,
        )


Expected = TypeVar("Expected", bound=BaseModel)


def read_as(kind: type[Expected], reply: Any, *, what: str) -> Expected:
    """Returns the reply as a record.

    Raises:
        ModelError: a field is missing or of a wrong type; the message says which.
    """
    try:
        return kind.model_validate(reply)
    except (ValidationError, RecursionError) as error:
        problem = "too deep"
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole"
            problem = f"{place}: {first['msg']}"
        raise ModelError(
            f"{what}: the answer is not what this interface promises: {shortened(problem, limit=200)}"
        ) from None
