"""Text that others wrote, made safe for a terminal."""

from __future__ import annotations

import re

from rich.text import Text

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but newline and tab, bidirectional embeddings, overrides and isolates, and halves of surrogate pairs,
which no encoding takes."""


def visible(text: str) -> str:
    """Returns the text with a replacement character for each one that could command a terminal or hide what is shown."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def plain(text: str, style: str = "") -> Text:
    """Returns the text to print as it is: safe for a terminal, and never read as markup."""
    return Text(visible(text), style)
