"""Prompts as token ids, in which text is text: what stands in a message can never become a control token."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from ..core import Message, NotSupportedError
from .base import Prompt

_SLOT = re.compile(r"zqSlot(\d+)Qz")


class PromptEncoder:
    """Tokenizes prompts and continuations.

    A chat template is rendered with a slot for every text that it is given; only the template's own text between the slots
    is searched for control tokens. So the tokens of a message do not depend on what stands around it either, which
    prefix caches like.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._all: Tokenizer = tokenizer.backend_tokenizer
        plain = json.loads(self._all.to_str())
        plain["added_tokens"] = []
        plain["post_processor"] = None
        self._plain = Tokenizer.from_str(json.dumps(plain))
        self._text = functools.lru_cache(maxsize=4096)(self._encode_text)
        self._control = functools.lru_cache(maxsize=1024)(self._encode_control)
        self.control_tokens = frozenset(
            number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        )
        """Tokens that are no text; a model that generates one has ended its turn."""
        self.end_token = self._find_end_token()
        """The token that ends a turn."""

    def text(self, text: str) -> tuple[int, ...]:
        """Returns the tokens of plain text."""
        return self._text(text)

    def decode(self, tokens: list[int]) -> str:
        """Returns the text of tokens; control tokens have none."""
        text: str = self._all.decode(tokens, skip_special_tokens=True)
        return text

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the tokens of a prompt, at least one.

        Raises:
            NotSupportedError: the model's chat template cannot render these messages, or there is none.
        """
        if isinstance(prompt, str):
            first = tuple(self._tokenizer("")["input_ids"])
            # Without anything before it, the first token of a text would have no probability.
            return (first + self.text(prompt)) or (self.end_token,)
        goes_on = bool(prompt) and prompt[-1].role == "assistant"
        rendered, texts = self._render(prompt, goes_on=goes_on)
        parts = _SLOT.split(rendered)
        tokens: list[int] = []
        for index, part in enumerate(parts):
            tokens += self._control(part) if index % 2 == 0 else self.text(texts[int(part)])
        return tuple(tokens)

    def _render(self, messages: tuple[Message, ...], *, goes_on: bool) -> tuple[str, list[str]]:
        """Returns the template's text with slots, and the slots' texts."""
        if not self._tokenizer.chat_template:
            raise NotSupportedError("the model has no chat template; give the prompt as a string")
        texts: list[str] = []

        def slot(text: str) -> str:
            texts.append(text)
            return f"zqSlot{len(texts) - 1}Qz"

        turns = [_turn(message, slot) for message in messages]
        try:
            rendered = str(
                self._tokenizer.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=not goes_on
                )
            )
        except (TemplateError, TypeError, KeyError) as error:
            raise NotSupportedError(
                f"the model's chat template refuses the messages: {error}"
            ) from error
        for turn in turns:
            if turn["content"] not in rendered:
                raise NotSupportedError(
                    f"the model's chat template leaves out a {turn['role']} message"
                )
        if goes_on:
            last = turns[-1]["content"]
            rendered = rendered[: rendered.rindex(last) + len(last)]
        return rendered, texts

    def _encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    def _encode_control(self, text: str) -> tuple[int, ...]:
        return tuple(self._all.encode(text, add_special_tokens=False).ids)

    def _find_end_token(self) -> int:
        """Returns the control token that the chat template puts after an assistant's text, else the tokenizer's own."""
        end: int = self._tokenizer.eos_token_id
        if self._tokenizer.chat_template:
            messages = (Message(role="user", content="?"), Message(role="assistant", content="!"))
            rendered, _ = self._render(messages, goes_on=False)
            after = self._control(rendered.rpartition("zqSlot1Qz")[2])
            return next((token for token in after if token in self.control_tokens), end)
        return end


def _turn(message: Message, slot: Any) -> dict[str, Any]:
    """Returns the message as chat templates take it, every text in it replaced by a slot."""
    calls_only = message.tool_calls and not message.content
    turn: dict[str, Any] = {
        "role": message.role,
        "content": "" if calls_only else slot(message.content),
    }
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "type": "function",
                "function": {
                    "name": slot(call.name),
                    "arguments": _slotted(call.arguments, slot),
                },
            }
            for call in message.tool_calls
        ]
    return turn


def _slotted(value: Any, slot: Any) -> Any:
    """Returns JSON data with every string in it replaced by a slot; templates write such data as JSON."""
    if isinstance(value, str):
        return slot(json.dumps(value, ensure_ascii=False)[1:-1])
    if isinstance(value, dict):
        return {_slotted(key, slot): _slotted(item, slot) for key, item in value.items()}
    if isinstance(value, list):
        return [_slotted(item, slot) for item in value]
    return value
