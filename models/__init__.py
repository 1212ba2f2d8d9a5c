"""Language models behind two verbs, `generate` and `score`."""

from .base import GenerateConfig, Model, ModelOutput, Prompt, ScoreItem, Scores, Shape
from .loading import DEFAULT_MODEL, load_model
from .memo import MemoModel
from .openai import OpenAIModel
from .retry import RetryPolicy
from .scripted import FunctionModel, ScriptedModel

__all__ = [
    "DEFAULT_MODEL",
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
