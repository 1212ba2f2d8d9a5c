"""The records that every part speaks, and the errors that they raise."""

from .concurrency import gather_bounded
from .decisions import ArgumentDecision, Candidate, Distribution, Source, Verdict
from .errors import (
    MissingModelError,
    ModelError,
    NotSupportedError,
    Problem,
    RunError,
    ToolError,
    ToolErrorKind,
    ToolLibraryError,
    ToolVerifierError,
    UsageError,
)
from .messages import Message, Role, ToolCall, ToolResult
from .persistence import SCHEMA_VERSION, append_jsonl, from_json, read_jsonl, to_json
from .trajectory import Step, StopReason, Trajectory
from .usage import Limits, Usage

__all__ = [
    "SCHEMA_VERSION",
    "ArgumentDecision",
    "Candidate",
    "Distribution",
    "Limits",
    "Message",
    "MissingModelError",
    "ModelError",
    "NotSupportedError",
    "Problem",
    "Role",
    "RunError",
    "Source",
    "Step",
    "StopReason",
    "ToolCall",
    "ToolError",
    "ToolErrorKind",
    "ToolLibraryError",
    "ToolResult",
    "ToolVerifierError",
    "Trajectory",
    "Usage",
    "UsageError",
    "Verdict",
    "append_jsonl",
    "from_json",
    "gather_bounded",
    "read_jsonl",
    "to_json",
]
