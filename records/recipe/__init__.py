"""The recipe: the one typed configuration of a curation, read from YAML and refused whole when any part is wrong."""

from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, model_validator

from records.question import Task
from records.recipe.models import Model, ModelRoles, Serve, Weights
from records.recipe.questions import QuestionRules
from records.recipe.sampling import (
    BENEFIT_DECISIONS,
    BenefitDecision,
    CountBand,
    Difficulty,
    Evaluation,
    Sampling,
    ToolBenefit,
)
from records.recipe.sandbox import Layer, SandboxSettings
from records.recipe.section import RecipeError, Section, check_settings
from records.recipe.selection import Band, ColdStart, Route, SelectionEntry, SelectionStep, Split
from records.recipe.sources import Corpus, EvaluationSource, SearchSettings, Source
from records.recipe.training import Rl, Sft

__all__ = [
    "BENEFIT_DECISIONS",
    "Band",
    "BenefitDecision",
    "ColdStart",
    "Corpus",
    "CountBand",
    "Difficulty",
    "Evaluation",
    "EvaluationSource",
    "Layer",
    "Model",
    "ModelRoles",
    "QuestionRules",
    "Recipe",
    "RecipeError",
    "Rl",
    "Route",
    "Sampling",
    "SandboxSettings",
    "SearchSettings",
    "SelectionEntry",
    "SelectionStep",
    "Serve",
    "Sft",
    "Source",
    "Split",
    "ToolBenefit",
    "Weights",
    "read_recipe",
]


class Recipe(Section):
    """A whole curation."""

    name: str
    """The name of the curation."""
    seed: int = 0
    """The seed of every draw."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """Where questions come from."""
    models: ModelRoles
    """The models by their roles."""
    dialect: str = "plain_tags"
    """The name of a module of rollouts/dialects/."""
    examples: str | None = None
    """A YAML file of worked examples per task; the ones shipped with Touchstone when not given."""
    tools: dict[Task, list[str]] = Field(default_factory=dict)
    """The names of the tools (modules of rollouts/tools/) that each task is offered."""
    tool_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The settings of tools by their names, checked by the tools; those of `python` and `search` are the sections
    `sandbox` and `search`."""
    sandbox: SandboxSettings = SandboxSettings()
    search: SearchSettings = SearchSettings()
    questions: QuestionRules = QuestionRules()
    split: Split = Split()
    difficulty: Difficulty = Difficulty()
    tool_benefit: ToolBenefit = ToolBenefit()
    selection: Annotated[list[SelectionEntry], Field(min_length=1)]
    """Which questions go to which training set: routes, of which the first that fits a question is taken, and after
    them further steps: `{step: balance, by: task, max_ratio: 2}`."""
    cold_start: ColdStart = ColdStart()
    sft: Sft = Sft()
    rl: Rl = Rl()
    evaluation: Evaluation = Evaluation()
    nightly: str = "0 2 * * *"
    """The cron line of the nightly refresh."""

    @model_validator(mode="after")
    def _result_images_as_the_questions(self) -> Self:
        rules, given = self.questions.images, self.sandbox.model_fields_set
        shape = {"image_min_side": rules.min_side, "image_max_aspect": rules.max_aspect}
        missing = {name: value for name, value in shape.items() if name not in given}
        object.__setattr__(self, "sandbox", self.sandbox.model_copy(update=missing))
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"sources: the name {sorted(twice)[0]!r} is given twice")
        kinds = [isinstance(entry, Route) for entry in self.selection]
        if not kinds[0] or sorted(kinds, reverse=True) != kinds:
            raise ValueError(
                "selection: routes (to: …), at least one, come first, and further steps (step: …) after them"
            )
        room, most = self.models.policy.serve.max_model_len, self.tool_benefit.tokens
        if self.models.policy.weights and most >= room:
            raise ValueError(
                f"tool_benefit: an attempt may write {most} tokens in all, but models.policy.serve.max_model_len "
                f"is {room}, the prompt included: set tool_benefit.sampling.total_tokens, or give the model more room"
            )
        return self


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a YAML file, checked.

    Raises:
        RecipeError: with one line per mistake.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such recipe file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this file holds {type(values).__name__}")
    return check_settings(Recipe, values, str(path), "")
