"""The agent and its loop."""

from .agent import Agent
from .events import (
    ArgumentsDecided,
    CallFinished,
    CallStarted,
    Event,
    Planned,
    RunFinished,
    RunStarted,
    StepFinished,
    ToolDecided,
)

__all__ = [
    "Agent",
    "ArgumentsDecided",
    "CallFinished",
    "CallStarted",
    "Event",
    "Planned",
    "RunFinished",
    "RunStarted",
    "StepFinished",
    "ToolDecided",
]
