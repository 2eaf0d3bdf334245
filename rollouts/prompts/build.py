"""The prompt of one form: system text, worked examples, the question.

A small model ignores a tool that is only described, so every task has worked examples. All forms show the same examples
with the same answers, and differ in the tool alone (rollouts/prompts/forms.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from records.identity import canonical_json, content_hash
from records.question import Question, Task
from records.trajectory import Block, Message, ToolCall, text_message
from rollouts.dialects import Dialect, ToolSpec
from rollouts.prompts.examples import Example, Examples
from rollouts.prompts.forms import DIRECT, TOOLS, Form
from rollouts.withheld import NOTICE

FOUND_OUT = "The following is known:"
"""The line above prefilled results; it is as true of a tool's results as of a source's annotations."""
NAMELESS = (DIRECT, TOOLS)
"""The forms whose names are not part of their fingerprints. Two others may come to the same words and still differ."""


@dataclass(frozen=True)
class PromptSetting:
    """What all prompts of a recipe for one model have in common."""

    dialect: Dialect
    examples: Examples
    sees_images: bool


def _question_turn(question: Question, with_python: bool, sees_images: bool) -> Message:
    """The user turn of a question: image blocks for a model that can see, and where Python finds the images."""
    blocks = [Block(type="image", image=image) for image in question.images] if sees_images else []
    text = _question_text(question.text, len(question.images), with_python, sees_images, question.choices)
    return Message(role="user", content=[*blocks, Block(type="text", text=text)])


def _question_text(text: str, images: int, with_python: bool, sees_images: bool, choices: Sequence[str] = ()) -> str:
    lines = [text]
    if choices:
        lines += [f"({chr(ord('A') + index)}) {choice}" for index, choice in enumerate(choices)]
    if images and (with_python or not sees_images):
        names = ", ".join(f"image_{n + 1}" for n in range(images))
        where = f"In Python it is {names}, a PIL image." if with_python else f"It is about {names}, which is not shown."
        lines.append(f"({where})")
    return "\n".join(lines)


def _with_results(asked: Message, prefilled: Sequence[Message], dialect: Dialect, sees_images: bool) -> Message:
    """The user turn with these tool turns below its text, and their images behind its own."""
    if not prefilled:
        return asked
    lines = [asked.text, FOUND_OUT]
    images = list(asked.images)
    for result in prefilled:
        lines.append(dialect.observation_text(result))
        images += result.images if sees_images else ()
    blocks = [Block(type="image", image=image) for image in images]
    return Message(role="user", content=[*blocks, Block(type="text", text="\n".join(lines))])


def _worked(asked: Message, example: Example, dialect: Dialect, shown: set[str], form: Form) -> list[Message]:
    """The turns of a worked example, from its question to its answer; `shown` names the tools whose steps it has."""
    steps = [step for step in example.steps if step.tool in shown]
    if not steps:
        return [asked, Message(role="assistant", reasoning=example.direct, answer=example.answer)]
    without_results = form.in_examples == "calls"
    if form.in_examples == "results":
        results = [text_message("tool", step.result, name=step.tool) for step in steps]
        turns = [_with_results(asked, results, dialect, sees_images=False)]
    else:
        turns = [asked]
        for step in steps:
            call = ToolCall(name=step.tool, arguments=canonical_json(step.arguments))
            turns.append(Message(role="assistant", reasoning=step.say, tool_calls=[call]))
            turns.append(text_message("tool", NOTICE if without_results else step.result, name=step.tool))
    conclude = "" if without_results else example.conclude  # which speaks of a result that was not seen
    return [*turns, Message(role="assistant", reasoning=conclude, answer=example.answer)]


def build_prompt(
    question: Question,
    how: PromptSetting,
    tools: Sequence[ToolSpec],
    form: Form | None = None,
    prefilled: Sequence[Message] = (),
) -> list[Message]:
    """The prompt of a question.

    Args:
        tools: those whose calls or results the form shows: the worked examples are about them.
        form: `tools` by default, or `direct` when there are no tools.
        prefilled: tool turns whose results are shown in the question's turn, in a prefilled form. Without any, it is
            as in `direct`.
    """
    form = form or (TOOLS if tools else DIRECT)
    offered = tools if form.offers_calls else ()
    shown = {tool.name for tool in tools} if form.shows_tools else set()
    with_python = any(tool.name == "python" for tool in offered)
    messages = [text_message("system", f"{how.examples.system.strip()}\n{how.dialect.instructions(offered)}")]
    for example in how.examples.of(question.task):
        text = _question_text(example.question, example.images, with_python, how.sees_images)
        messages += _worked(text_message("user", text), example, how.dialect, shown, form)
    asked = _question_turn(question, with_python, how.sees_images)
    return [*messages, _with_results(asked, prefilled, how.dialect, how.sees_images)]


def template_fingerprint(task: Task, how: PromptSetting, tools: Sequence[ToolSpec], form: Form | None = None) -> str:
    """Fingerprint of the way prompts of a task are made in a form, the question's own words aside.

    It is the hash of the requests that come of questions with and without images and choices: a changed instruction,
    worked example, tool description, rendering or stop string changes it. In a prefilled form the questions come with a
    text and an image as results.
    """
    form = form or (TOOLS if tools else DIRECT)
    offered = tools if form.offers_calls else ()
    image = Message(role="tool", content=[Block(type="image", image="2" * 64)])
    prefilled = [text_message("tool", "found"), image] if form.prefilled else []
    shown = []
    for images in ([], ["0" * 64, "1" * 64]):
        for choices in ([], ["first", "second"]):
            probe = Question(
                source="", source_row="", task=task, text="?", images=images, choices=choices, answer="first",
                answer_type="short_text",
            )  # fmt: skip
            prompt = build_prompt(probe, how, tools, form, prefilled)
            body = how.dialect.request(prompt, offered, None)
            shown.append([body.pop("messages"), [message.images for message in prompt]])
    stop, name = list(body.pop("stop", ())), [] if form in NAMELESS else [form.name]
    return content_hash([how.dialect.name, shown, stop, body, how.sees_images, *name])
