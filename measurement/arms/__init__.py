"""The arms that rollout stages sample, as the recipe sets them: who attempts, with which tools, how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from assets.resources import Workspace
from filters.difficulty.band import rule_of
from filters.difficulty.stopping import Rule
from records.evidence import KEY as AID
from records.evidence import read_evidence
from records.identity import content_hash, hashed
from records.question import Question, Task
from records.recipe import Recipe, Sampling, ToolBenefit
from records.trajectory import Message
from rollouts.dialects import get_dialect
from rollouts.prompts.build import PromptSetting, build_prompt, template_fingerprint
from rollouts.prompts.examples import read_examples
from rollouts.prompts.forms import FORMS
from rollouts.prompts.prefilled_results import aid_results
from rollouts.setting import Setting
from rollouts.tools import Tool
from rollouts.tools._withheld import withhold
from rollouts.waves import Prepare


@dataclass(frozen=True)
class Arm:
    """One arm of one stage."""

    name: str
    """Part of a rollout's identity: its form, or `teacher`."""
    role: str
    """Whose model attempts: `policy` or `teacher`."""
    form: str
    """How its prompts are made, and what a call comes to."""
    sampling: Sampling
    rule: Rule
    """How many samples are made, in which waves, and when they may stop."""
    first_sample: int = 0
    """Index of the first sample; attempts with other indices are other attempts."""
    most_samples: int = 0
    """Stored samples of a question that count, where they may be more than the rule asks for."""

    @property
    def fixed(self) -> bool:
        """Whether the rule decides nothing: as many samples are made as are wanted, whatever comes out."""
        return self.rule.keep is None

    @property
    def counted_samples(self) -> int:
        """Samples of a question that count when they are stored."""
        return max(self.rule.samples, self.most_samples)


def _fixed(samples: int) -> Rule:
    return Rule(waves=(samples,), keep=None)


def direct(recipe: Recipe) -> Arm:
    """The attempts that decide about difficulty."""
    return Arm("direct", "policy", "direct", recipe.difficulty.sampling, rule_of(recipe.difficulty))


def benefit(recipe: Recipe) -> list[Arm]:
    """The arms that show what tools are good for: tools, direct, and the recipe's controls, all sampled alike.

    An attempt may write as much in one arm as in any other, over however many turns. The direct attempts are others
    than those that chose the question.
    """
    settings = recipe.tool_benefit
    forms: list[str] = ["tools", "direct", *dict.fromkeys(settings.controls)]
    sampling, rule, most = _same_budget(settings), _fixed(settings.samples), settings.most_samples
    first = {"direct": recipe.difficulty.samples}
    return [Arm(form, "policy", form, sampling, rule, first.get(form, 0), most) for form in forms]


def _same_budget(settings: ToolBenefit) -> Sampling:
    """One budget of tokens for a whole attempt; a turn may take all that is left of it."""
    return settings.sampling.model_copy(update={"max_tokens": settings.tokens, "total_tokens": settings.tokens})


def tools(recipe: Recipe) -> Arm:
    """The arm of `benefit` with tools: its results are what `result_only` is given."""
    return benefit(recipe)[0]


def teacher(recipe: Recipe) -> Arm:
    return Arm("teacher", "teacher", "tools", recipe.cold_start.sampling, _fixed(recipe.cold_start.samples))


def evaluation(recipe: Recipe) -> tuple[Arm, Arm]:
    """Both arms of the evaluation, direct first."""
    settings, rule = recipe.evaluation, _fixed(recipe.evaluation.samples)
    return (
        Arm("direct", "policy", "direct", settings.direct, rule),
        Arm("tools", "policy", "tools", settings.tools, rule),
    )


def _shown_tools(workspace: Workspace, arm: Arm, task: Task) -> Mapping[str, Tool]:
    """The recipe's tools for a task, in the arms whose prompts show their calls or results."""
    return {} if arm.form == "direct" else {name: workspace.tool(name) for name in workspace.recipe.tools.get(task, ())}


def offered_tools(workspace: Workspace, arm: Arm, task: Task) -> Mapping[str, Tool]:
    """The tools that the recipe offers for a task, if it is an arm with calls."""
    shown = _shown_tools(workspace, arm, task)
    return {"tools": shown, "call_only": withhold(shown)}.get(arm.form, {})


def setting_of(workspace: Workspace, arm: Arm, task: Task) -> Setting:
    """What all attempts of the arm at questions of a task share (in `oracle`: but for `with_aid`)."""
    recipe = workspace.recipe
    dialect, examples = get_dialect(recipe.dialect), read_examples(recipe.examples)
    sees_images = recipe.models.role(arm.role).sees_images
    offered = offered_tools(workspace, arm, task)
    shown = list(_shown_tools(workspace, arm, task).values())
    template = template_fingerprint(task, PromptSetting(dialect, examples, sees_images), shown, FORMS[arm.form])
    if arm.form == "result_only":  # other attempts with tools bring other results
        template = content_hash([template, setting_of(workspace, tools(recipe), task).fingerprint("")])
    prefilled = FORMS[arm.form].prefilled is not None
    return Setting(arm.name, dialect, offered, arm.sampling, workspace.images, sees_images, template, prefilled)


def with_aid(setting: Setting, aid: str) -> Setting:
    """The setting of an `oracle` attempt at a question with this aid: when a source annotates it otherwise, or its
    annotation is read otherwise, attempts are made anew."""
    return replace(setting, prompt_template=content_hash([setting.prompt_template, aid])) if aid else setting


def askable(workspace: Workspace, arm: Arm, questions: pl.DataFrame) -> pl.DataFrame:
    """The questions that attempts of the arm can be made at, in order, with a column `aid`.

    `aid` identifies what is annotated and can be shown, and is empty in all arms but `oracle`. In that one, questions
    without anything to show are left out.
    """
    if arm.form != "oracle":
        return questions.with_columns(aid=pl.lit(""))
    noted = questions.filter(pl.col("extra").str.contains(f'"{AID}"', literal=True))
    sees_images = workspace.recipe.models.role(arm.role).sees_images
    known = noted.select("extra", pl.col("images").list.len()).iter_rows()
    aids = pl.Series("aid", [_aid(extra, images if sees_images else 0) for extra, images in known], dtype=pl.String)
    return noted.with_columns(aids).filter(pl.col("aid") != "")


def _aid(extra: str, images: int) -> str:
    """Identity of the aid in a question's `extra`, as far as it is text or within so many images; "" without any."""
    aid = read_evidence(extra)
    boxes = [hashed(box) for box in aid.boxes if box.image < images] if aid else []
    return content_hash([aid.texts, boxes]) if aid and (aid.texts or boxes) else ""


def preparation(workspace: Workspace, arm: Arm) -> Prepare:
    """The setting and the prompt of any question in the arm, with what the attempt is given (`result_only`)."""
    examples = read_examples(workspace.recipe.examples)
    settings: dict[Task, Setting] = {}

    def prepare(question: Question, given: Sequence[Message] = ()) -> tuple[Setting, list[Message]]:
        if question.task not in settings:
            settings[question.task] = setting_of(workspace, arm, question.task)
        setting = settings[question.task]
        if arm.form == "oracle":
            given = aid_results(question, workspace.images, setting.sees_images)
            setting = with_aid(setting, _aid(question.extra, len(question.images) if setting.sees_images else 0))
        shown = list(_shown_tools(workspace, arm, question.task).values())
        how = PromptSetting(setting.dialect, examples, setting.sees_images)
        return setting, build_prompt(question, how, shown, FORMS[arm.form], given)

    return prepare
