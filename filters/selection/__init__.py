"""Which questions train, and by what: the steps of the recipe's `selection`, one after the other.

A step is a module of this folder with

    Options                                 pydantic, without unknown keys: what the recipe may say of the step
    apply(rows, options, seed)              -> (kept, rejects), with the columns of `rows` or more, and no row lost

The recipe's routes are the first step (filters/selection/routes.py), and each entry `{step: name, …}` after them is a
further one. A new step is one new file here; modules with a leading underscore are private to the module beside them.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Protocol, cast

import polars as pl

from records.plugins import get_module, module_names
from records.recipe import Route, SelectionStep
from records.recipe.section import Section, check_settings

STAGE = "selection"
"""The stage of all rejects, whichever step makes them."""
_NAMES = ("question_id", "task", "source")


class StepModule(Protocol):
    """What a module of this folder offers."""

    Options: type[Section]

    def apply(self, rows: pl.DataFrame, options: Any, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Split the rows; what is rejected is of the stage STAGE, by question_id."""
        ...


def step_names() -> list[str]:
    """The names of all steps."""
    return module_names(__name__)


def prepared(selection: Sequence[Route | SelectionStep], file: str) -> list[tuple[StepModule, Section]]:
    """The steps of a recipe's selection with their options.

    Args:
        selection: the recipe's: routes, then further steps.
        file: the recipe's, for messages.

    Raises:
        RecipeError: naming the file and the key, for a step that no module has, or options that it does not take.
    """
    routes = list(takewhile(lambda entry: isinstance(entry, Route), selection))
    steps = [(_module("routes"), check_settings(_module("routes").Options, {"routes": routes}, file, "selection"))]
    for number, entry in enumerate(selection[len(routes) :], len(routes)):
        assert isinstance(entry, SelectionStep)  # the routes are the first entries
        module = _module(entry.step, f"{file}: selection.{number}.step")
        steps.append((module, check_settings(module.Options, entry.options, file, f"selection.{number}")))
    return steps


def _module(name: str, key: str = "") -> StepModule:
    return cast(StepModule, get_module(__name__, name, "step", key))


def measured(questions: pl.DataFrame, benefits: pl.DataFrame) -> pl.DataFrame:
    """The questions with the columns of the table of tool benefits, in place of others of the same name.

    A number of both tables is the measured one, not the one that the question was once chosen by.
    """
    own = [c for c in questions.columns if c in _NAMES or c not in benefits.columns]
    measures = benefits.select("question_id", pl.exclude(_NAMES))
    return questions.select(own).join(measures, on="question_id", how="left", maintain_order="left")


def select(
    questions: pl.DataFrame,
    benefits: pl.DataFrame,
    selection: Sequence[Route | SelectionStep],
    seed: int,
    file: str = "the recipe",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Apply the steps of a recipe's selection.

    Args:
        questions: one row per question, with question_id.
        benefits: the table of the asset `tool_benefit` (filters/benefit/per_question.py).
        selection: the recipe's.
        seed: the recipe's, for steps that draw.

    Returns:
        the selected questions with the columns of `benefits` and `route` (`rl` or `cold_start`), and the rejects of all
        steps.
    """
    rows, rejects = measured(questions, benefits), []
    for module, options in prepared(selection, file):
        rows, rejected = module.apply(rows, options, seed)
        rejects.append(rejected)
    return rows, pl.concat(rejects)
