"""Language models behind two verbs, `generate` and `score`."""

from .base import GenerateConfig, Model, ModelOutput, Prompt, ScoreItem, Scores, Shape
from .loading import load_model
from .memo import MemoModel
from .openai import OpenAIModel
from .retry import RetryPolicy
from .scripted import FunctionModel, ScriptedModel

__all__ = [
    "FunctionModel",
    "GenerateConfig",
    "MemoModel",
    "Model",
    "ModelOutput",
    "OpenAIModel",
    "Prompt",
    "RetryPolicy",
    "ScoreItem",
    "Scores",
    "ScriptedModel",
    "Shape",
    "load_model",
]
