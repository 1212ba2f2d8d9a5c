"""Decisions with a second look: evidence, its combination, the gate, tools and arguments."""

from .arguments import ArgumentDecider, ArgumentsDecision, ArgumentWeights
from .evidence import Channel, Direct, Evidence, Lexical, Reading, Situation, combine
from .prompts import NONE, TEMPLATES, template_hash
from .second_look import Look, PairLook, SecondLook
from .tool_decision import DEFAULT_WEIGHTS, ToolDecider, ToolDecision, Weights

__all__ = [
    "DEFAULT_WEIGHTS",
    "NONE",
    "TEMPLATES",
    "ArgumentDecider",
    "ArgumentWeights",
    "ArgumentsDecision",
    "Channel",
    "Direct",
    "Evidence",
    "Lexical",
    "Look",
    "PairLook",
    "Reading",
    "SecondLook",
    "Situation",
    "ToolDecider",
    "ToolDecision",
    "Weights",
    "combine",
    "template_hash",
]
