"""An arm over a workspace: its settings, its prompts and the questions that it can ask, each worked out once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from measurement.arms import Arm, tools_arm
from measurement.toolbox import Toolbox
from records.evidence import KEY as EVIDENCE_KEY
from records.evidence import read_evidence
from records.identity import content_hash, hashed
from records.question import Question, Task
from records.trajectory import Message
from records.workspace import Workspace
from rollouts.dialects import get_dialect
from rollouts.prompts.build import PromptSetting, build_prompt, template_fingerprint
from rollouts.prompts.examples import read_examples
from rollouts.prompts.prefilled_results import aid_results
from rollouts.setting import Setting
from rollouts.tools import Tool
from rollouts.withheld import withhold


class PreparedArm:
    """One arm with all that its attempts share.

    Args:
        arm: the arm.
        toolbox: builds the recipe's tools; its workspace says which recipe and where images are.
    """

    def __init__(self, arm: Arm, toolbox: Toolbox) -> None:
        self.arm, self.toolbox = arm, toolbox
        recipe = toolbox.workspace.recipe
        self.sees_images = recipe.models.role(arm.role).sees_images
        self._dialect = get_dialect(recipe.dialect)
        self._prompts = PromptSetting(self._dialect, read_examples(recipe.examples), self.sees_images)
        self._settings: dict[Task, Setting] = {}

    @property
    def workspace(self) -> Workspace:
        """The workspace whose recipe the arm is of."""
        return self.toolbox.workspace

    def _shown(self, task: Task) -> Mapping[str, Tool]:
        """The recipe's tools for a task, if the prompts of the form show their calls or results."""
        return self.toolbox.of_task(task) if self.arm.form.shows_tools else {}

    def offered(self, task: Task) -> Mapping[str, Tool]:
        """The tools that may be called at questions of a task."""
        if not self.arm.form.offers_calls:
            return {}
        shown = self._shown(task)
        return shown if self.arm.form.executes_calls else withhold(shown)

    def setting(self, task: Task, evidence: str = "") -> Setting:
        """What all attempts at questions of a task share.

        Args:
            evidence: identity of the evidence that the prompt shows, of the column `aid` of `askable`. When a source
                annotates a question otherwise, or its annotation is read otherwise, attempts are made again.
        """
        if task not in self._settings:
            self._settings[task] = self._setting(task)
        setting = self._settings[task]
        return (
            replace(setting, prompt_template=content_hash([setting.prompt_template, evidence])) if evidence else setting
        )

    def _setting(self, task: Task) -> Setting:
        arm, shown = self.arm, list(self._shown(task).values())
        template = template_fingerprint(task, self._prompts, shown, arm.form)
        if arm.form.prefilled == "tool_results":  # other attempts with tools bring other results
            donor = PreparedArm(tools_arm(self.workspace.recipe), self.toolbox)
            template = content_hash([template, donor.setting(task).fingerprint("")])
        offered, images = self.offered(task), self.workspace.images
        prefilled = arm.form.prefilled is not None
        return Setting(arm.name, self._dialect, offered, arm.sampling, images, self.sees_images, template, prefilled)

    def askable(self, questions: pl.DataFrame) -> pl.DataFrame:
        """The questions that attempts can be made at, in order, with a column `aid`.

        `aid` identifies the evidence that is annotated and can be shown. Forms that show none have it empty; in the
        others questions without any evidence are left out.
        """
        if self.arm.form.prefilled != "evidence":
            return questions.with_columns(aid=pl.lit(""))
        noted = questions.filter(pl.col("extra").str.contains(f'"{EVIDENCE_KEY}"', literal=True))
        known = noted.select("extra", pl.col("images").list.len()).iter_rows()
        found = [evidence_id(extra, images if self.sees_images else 0) for extra, images in known]
        return noted.with_columns(pl.Series("aid", found, dtype=pl.String)).filter(pl.col("aid") != "")

    def prompt(self, question: Question, prefilled: Sequence[Message] = ()) -> tuple[Setting, list[Message]]:
        """The setting and the prompt of a question.

        Args:
            prefilled: tool turns whose results the prompt shows, for a form that shows those of the arm with tools.
        """
        setting = self.setting(question.task)
        if self.arm.form.prefilled == "evidence":
            prefilled = aid_results(question, self.workspace.images, self.sees_images)
            evidence = evidence_id(question.extra, len(question.images) if self.sees_images else 0)
            setting = self.setting(question.task, evidence)
        shown = list(self._shown(question.task).values())
        return setting, build_prompt(question, self._prompts, shown, self.arm.form, prefilled)


def evidence_id(extra: str, images: int) -> str:
    """Identity of the evidence in a question's `extra`, as far as it is text or within `images` images; "" without."""
    evidence = read_evidence(extra)
    if evidence is None:
        return ""
    boxes = [hashed(box) for box in evidence.boxes if box.image < images]
    return content_hash([evidence.texts, boxes]) if evidence.texts or boxes else ""
