"""Every exception that the library raises on purpose, in two families.

What is told to the model, as the result of its tool call::

    ToolError                   kind, message
    (the closed set of kinds is `ToolErrorKind`)

What is told to the caller::

    ToolVerifierError
    ├── UsageError              the caller asked for something that cannot be
    │   └── ToolLibraryError    a tool library has problems; all of them are listed
    ├── ModelError              a backend failed; `retryable` says whether trying again can help
    │   ├── NotSupportedError   the backend cannot do this at all (for example `score`)
    │   └── MissingModelError   no such model here; says how to get it
    └── RunError                a run could not go on; carries the partial trajectory
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .trajectory import Trajectory

ToolErrorKind = Literal[
    "parse", "unknown_tool", "invalid_arguments", "rejected", "timeout", "execution"
]
"""How a tool call can fail, in the order of the execution pipeline."""


class ToolError(Exception):
    """A tool call that failed, with a message written for the model.

    Tool functions may raise it themselves to tell the model something; it then becomes a result
    of kind ``execution``.
    """

    def __init__(self, message: str, *, kind: ToolErrorKind = "execution") -> None:
        super().__init__(message)
        self.message = message
        self.kind: ToolErrorKind = kind


class ToolVerifierError(Exception):
    """Base of everything that is told to the caller."""


class UsageError(ToolVerifierError):
    """The caller asked for something that cannot be; the message names the place and the mend."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong in a document."""

    path: str
    """Where, as a JSON path: ``$[2].parameters.properties.city``."""
    message: str
    """What is wrong and how to mend it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ToolLibraryError(UsageError):
    """A tool library that was refused whole; `problems` holds everything that is wrong with it."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source}: {count}, nothing was registered\n{lines}")
        self.source = source
        self.problems = problems


class ModelError(ToolVerifierError):
    """A model backend failed."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class NotSupportedError(ModelError):
    """The backend cannot do what was asked, now or later."""


class MissingModelError(ModelError):
    """The model is not on this machine and could not be got."""


class RunError(ToolVerifierError):
    """A run could not go on. `trajectory` is what had happened until then."""

    def __init__(self, message: str, *, trajectory: Trajectory) -> None:
        super().__init__(message)
        self.trajectory = trajectory
