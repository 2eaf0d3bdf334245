"""The arms that rollout stages sample, as the recipe sets them: who attempts, with which tools, how often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assets.resources import Workspace
from filters.difficulty import rule_of
from filters.stopping import Rule
from records.question import Question, Task
from records.recipe import Recipe, Sampling
from records.trajectory import Message
from rollouts.agent import Setting
from rollouts.dialects import get_dialect
from rollouts.prompts import build_prompt, read_examples, template_fingerprint
from rollouts.tools import Tool


@dataclass(frozen=True)
class Arm:
    """One arm of one stage."""

    name: str
    """Part of a rollout's identity: `direct`, `tools` or `teacher`."""
    role: str
    """Whose model attempts: `policy` or `teacher`."""
    with_tools: bool
    sampling: Sampling
    rule: Rule
    """How many samples are made, in which waves, and when they may stop."""
    first_sample: int = 0
    """Index of the first sample; attempts with other indices are other attempts."""


def _fixed(samples: int) -> Rule:
    return Rule(waves=(samples,), keep=None)


def direct(recipe: Recipe) -> Arm:
    """The attempts that decide about difficulty."""
    return Arm("direct", "policy", False, recipe.difficulty.sampling, rule_of(recipe.difficulty))


def tools(recipe: Recipe) -> Arm:
    return Arm("tools", "policy", True, recipe.tool_benefit.sampling, _fixed(recipe.tool_benefit.samples))


def fresh_direct(recipe: Recipe) -> Arm:
    """Direct attempts other than those that chose the question: they are what the tools arm is compared with."""
    rule, first = _fixed(recipe.tool_benefit.samples), recipe.difficulty.samples
    return Arm("direct", "policy", False, recipe.difficulty.sampling, rule, first)


def teacher(recipe: Recipe) -> Arm:
    return Arm("teacher", "teacher", True, recipe.cold_start.sampling, _fixed(recipe.cold_start.samples))


def evaluation(recipe: Recipe) -> tuple[Arm, Arm]:
    """Both arms of the evaluation, direct first."""
    settings, rule = recipe.evaluation, _fixed(recipe.evaluation.samples)
    return (
        Arm("direct", "policy", False, settings.direct, rule),
        Arm("tools", "policy", True, settings.tools, rule),
    )


def offered_tools(workspace: Workspace, arm: Arm, task: Task) -> Mapping[str, Tool]:
    """The tools that the recipe offers for a task, if it is an arm with tools."""
    return {name: workspace.tool(name) for name in workspace.recipe.tools.get(task, ())} if arm.with_tools else {}


def setting_of(workspace: Workspace, arm: Arm, task: Task) -> Setting:
    """What all attempts of the arm at questions of a task share."""
    recipe = workspace.recipe
    dialect, examples = get_dialect(recipe.dialect), read_examples(recipe.examples)
    sees_images = recipe.models.role(arm.role).sees_images
    offered = offered_tools(workspace, arm, task)
    template = template_fingerprint(task, dialect, list(offered.values()), examples, sees_images)
    return Setting(arm.name, dialect, offered, arm.sampling, workspace.images, sees_images, template)


def preparation(workspace: Workspace, arm: Arm) -> Callable[[Question], tuple[Setting, list[Message]]]:
    """The setting and the prompt of any question in the arm."""
    examples = read_examples(workspace.recipe.examples)
    settings: dict[Task, Setting] = {}

    def prepare(question: Question) -> tuple[Setting, list[Message]]:
        if question.task not in settings:
            settings[question.task] = setting_of(workspace, arm, question.task)
        setting = settings[question.task]
        offered = list(setting.tools.values())
        return setting, build_prompt(question, setting.dialect, offered, examples, setting.sees_images)

    return prepare
