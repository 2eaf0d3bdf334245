"""Identities of the demo recipe, computed with the tools' versions pinned, so that they are the same on every machine.

    python -m tests.support.identities      prints them as JSON

They are what ledgers are filed under: tests/test_identities.py compares them with those that were written down.
"""

import asyncio
import json
import tempfile
from typing import Any

from filters import trajectories
from measurement import arms
from measurement.prepared_arm import PreparedArm
from measurement.toolbox import Toolbox
from pipelines.recipe_file import recipe_path
from records.evidence import Box, Evidence, write_evidence
from records.question import Question
from records.recipe import read_recipe
from records.trajectory import ToolResult, text_message
from records.workspace import Workspace
from rollouts.agent import attempt
from rollouts.dialects import get_dialect
from rollouts.models.contract import Completion
from rollouts.prompts.build import PromptSetting, template_fingerprint
from rollouts.prompts.examples import read_examples
from rollouts.prompts.forms import FORMS
from rollouts.tools.python import PythonInSandbox
from rollouts.tools.search import SearchIndex, SearchTool
from sandbox import SandboxDescription
from verdicts.rules import judged_with

AID = json.dumps(
    write_evidence({}, Evidence(texts=["It is so."], boxes=[Box(image=0, left=0, top=0, right=0.5, bottom=0.5)]))
)
QUESTIONS = [
    Question(source="a", source_row="1", task="perception", text="Which colour?", images=["0" * 64],
             choices=["red", "blue"], answer="red", answer_type="choice", extra=AID),
    Question(source="b", source_row="2", task="math", text="What is 2 + 3?", answer="5", answer_type="number"),
    Question(source="c", source_row="3", task="search", text="Where is Paris?", answer="France",
             answer_type="short_text", aliases=["the French Republic"], extra=AID),
]  # fmt: skip
CALLS = {
    "plain_tags": {"python": "I compute.\n<python>\nprint(2 + 3)\n</python>", "search": "<search>Paris</search>"},
    "deepeyes_v2": {
        "python": "<think>so</think>\n<code>\n```python\nprint(2 + 3)\n```\n</code>",
        "search": '<tool_call>{"name": "search", "arguments": {"query": "Paris"}}</tool_call>',
    },
}


class Scripted:
    """A model that calls the first tool that it is offered and then answers."""

    fingerprint = "model"

    def __init__(self, call: str | None) -> None:
        self.call = call

    async def complete(self, request: Any) -> Completion:
        text, self.call = self.call or "<answer>5</answer>", None
        return Completion(text=text, finish_reason="stop", prompt_tokens=7, completion_tokens=3, seconds=0.0)


class Keys:
    """Calls that are made and not kept; their keys are."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def get(self, rollout_id: str, key: str) -> None:
        return None

    async def once(self, rollout_id: str, kind: str, key: str, make: Any, former: Any = None) -> dict[str, Any]:
        self.keys.append(f"{kind} {key}")
        if kind == "tool":
            return ToolResult(outcome="ok", text="5").model_dump()
        return await make()


def toolbox_of(data: str) -> Toolbox:
    """The demo's tools with pinned versions, which never run."""
    workspace = Workspace(str(recipe_path()), data)
    toolbox = Toolbox(workspace)
    recipe = workspace.recipe
    toolbox.put(PythonInSandbox(recipe.sandbox, workspace.images, SandboxDescription("pinned")))
    toolbox.put(SearchTool(SearchIndex(data, "pinned"), recipe.search))
    return toolbox


def _rollout_of(toolbox: Toolbox, arm: arms.Arm, question: Question) -> dict[str, Any]:
    prepared = PreparedArm(arm, toolbox)
    given = [text_message("tool", "5", name="python")] if arm.form.prefilled == "tool_results" else []
    blind = question.model_copy(update={"images": []}) if arm.form.prefilled == "evidence" else question
    setting, prompt = prepared.prompt(blind, given)
    offered = next(iter(setting.tools), None)
    calls = Keys()
    model = Scripted(CALLS["plain_tags"][offered] if offered else None)
    rollout = asyncio.run(attempt(question, prompt, setting, arm.first_sample, model, calls))
    found: dict[str, Any] = {
        "setting": rollout.setting,
        "prompt_template": rollout.prompt_template,
        "prompt": rollout.prompt_fingerprint,
        "rollout": rollout.rollout_id,
        "calls": calls.keys,
    }
    if arm.name == "teacher":
        rollout = rollout.model_copy(update={"correct": True})
        kept, _ = trajectories.apply([trajectories.Candidate(rollout, question)], ["right"], 1)
        found["trajectory"] = kept[0].trajectory_id
    return found


def identities() -> dict[str, Any]:
    """Identities by what they are of."""
    recipe = read_recipe(recipe_path())
    compared = {f"benefit {arm.name}": arm for arm in arms.compared_arms(recipe)}
    named = {"difficulty": arms.direct_arm(recipe), **compared, "teacher": arms.teacher_arm(recipe)}
    named |= {f"evaluation {arm.name}": arm for arm in arms.evaluation_arms(recipe)}
    named["benefit oracle"] = arms.Arm(
        **{**vars(arms.tools_arm(recipe)), "name": "oracle", "form": arms.get_arm("oracle").FORM}
    )
    with tempfile.TemporaryDirectory() as folder:
        toolbox = toolbox_of(folder)
        tools = [toolbox.tool(name) for name in ("python", "search")]
        templates = {
            f"{dialect} {task} {form}": template_fingerprint(
                task, PromptSetting(get_dialect(dialect), read_examples(None), sees_images), tools, FORMS[form]
            )
            for dialect in ("plain_tags", "deepeyes_v2")
            for task, sees_images in (("perception", True), ("math", False), ("search", False))
            for form in ("direct", "tools", "call_only", "result_only", "oracle")
        }
        return {
            "questions": [question.question_id for question in QUESTIONS],
            "tools": {tool.name: tool.version for tool in tools},
            "rollouts": {
                f"{name}: {question.task}": _rollout_of(toolbox, arm, question)
                for name, arm in sorted(named.items())
                for question in QUESTIONS
                if not (arm.form.prefilled == "evidence" and question.task == "math")
            },
            "templates": templates,
            "verdicts": {
                kind: judged_with(kind, ["an alias"])
                for kind in ("number", "choice", "short_text", "boolean", "expression", "set")
            },
        }


if __name__ == "__main__":
    print(json.dumps(identities(), indent=1, sort_keys=True))
