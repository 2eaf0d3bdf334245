"""The prompt of one arm: system text, worked examples, the question.

A small model ignores a tool that is only described, so every task has worked examples; the arms show the same examples
with the same answers, and differ in the tool alone:

    direct       the example is worked out in words
    tools        it is worked out with the tool
    call_only    as tools, but results are withheld, and what would be concluded from them is left out
    result_only  what the tool returned stands below the question, and leads to the answer; no tool is offered
    oracle       as result_only; the question itself comes with what its source annotates it with
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from records.identity import canonical_json, content_hash
from records.question import Question, Task
from records.recipe.section import RecipeError, explain
from records.trajectory import Block, Message, ToolCall, text_message
from rollouts.dialects import Dialect, ToolSpec, render
from rollouts.withheld import NOTICE

Form = Literal["direct", "tools", "call_only", "result_only", "oracle"]
GIVEN: tuple[Form, ...] = ("result_only", "oracle")
"""The forms in which results stand in the question's own turn, and no tool is offered."""
FOUND_OUT = "This was found out about it:"
"""Stands above them; as true of a tool's results as of a source's annotations."""
SHIPPED_EXAMPLES = Path(__file__).parent / "worked_examples.yaml"


class Step(BaseModel):
    """One call of a worked example and what it returned."""

    model_config = ConfigDict(extra="forbid")

    say: str = ""
    tool: str
    arguments: dict[str, str]
    result: str


class Example(BaseModel):
    """One worked example, in all arms."""

    model_config = ConfigDict(extra="forbid")

    question: str
    images: int = 0
    """How many images the example's question speaks of (they are not shown; Python would read them)."""
    direct: str
    """The way to the answer in words; the answer completes its last sentence."""
    steps: list[Step]
    conclude: str = ""
    """What leads from the last result to the answer."""
    answer: str


class Examples(BaseModel):
    """Instructions and worked examples of each task."""

    model_config = ConfigDict(extra="forbid")

    system: str
    perception: list[Example] = Field(default_factory=list)
    math: list[Example] = Field(default_factory=list)
    search: list[Example] = Field(default_factory=list)

    def of(self, task: Task) -> list[Example]:
        return getattr(self, task)


@lru_cache(maxsize=8)
def read_examples(path: str | Path | None = None) -> Examples:
    """Read the worked examples; the shipped ones when no path is given.

    Raises:
        RecipeError: the file cannot be read or is not of this shape.
    """
    file = Path(path) if path else SHIPPED_EXAMPLES
    try:
        return Examples.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{file}: cannot be read as YAML: {error}") from None
    except ValidationError as error:
        raise RecipeError(explain(error, Examples, str(file))) from None


def question_message(question: Question, with_python: bool, sees_images: bool) -> Message:
    """The user turn of a question: image blocks for a model that can see, and where Python finds the images."""
    blocks = [Block(type="image", image=image) for image in question.images] if sees_images else []
    return Message(
        role="user",
        content=[
            *blocks,
            Block(
                type="text", text=_ask(question.text, len(question.images), with_python, sees_images, question.choices)
            ),
        ],
    )


def _ask(text: str, images: int, with_python: bool, sees_images: bool, choices: Sequence[str] = ()) -> str:
    lines = [text]
    if choices:
        lines += [f"({chr(ord('A') + index)}) {choice}" for index, choice in enumerate(choices)]
    if images and (with_python or not sees_images):
        names = ", ".join(f"image_{n + 1}" for n in range(images))
        where = f"In Python it is {names}, a PIL image." if with_python else f"It is about {names}, which is not shown."
        lines.append(f"({where})")
    return "\n".join(lines)


def _with_given(asked: Message, given: Sequence[Message], dialect: Dialect, sees_images: bool) -> Message:
    """The user turn with these tool turns below its text, and their images behind its own."""
    if not given:
        return asked
    lines = [asked.text, FOUND_OUT]
    images = list(asked.images)
    for result in given:
        lines.append(dialect.observation_text(result))
        images += result.images if sees_images else ()
    blocks = [Block(type="image", image=image) for image in images]
    return Message(role="user", content=[*blocks, Block(type="text", text="\n".join(lines))])


def _worked(asked: Message, example: Example, dialect: Dialect, shown: set[str], form: Form) -> list[Message]:
    """The turns of a worked example, from its question to its answer; `shown` names the tools whose steps it has."""
    steps = [step for step in example.steps if step.tool in shown]
    if not steps:
        return [asked, Message(role="assistant", reasoning=example.direct, answer=example.answer)]
    if form in GIVEN:
        results = [text_message("tool", step.result, name=step.tool) for step in steps]
        turns = [_with_given(asked, results, dialect, sees_images=False)]
    else:
        turns = [asked]
        for step in steps:
            call = ToolCall(name=step.tool, arguments=canonical_json(step.arguments))
            turns.append(Message(role="assistant", reasoning=step.say, tool_calls=[call]))
            turns.append(text_message("tool", NOTICE if form == "call_only" else step.result, name=step.tool))
    conclude = "" if form == "call_only" else example.conclude  # which speaks of a result that was not seen
    return [*turns, Message(role="assistant", reasoning=conclude, answer=example.answer)]


def _settled(form: Form | None, tools: Sequence[ToolSpec]) -> tuple[Form, Sequence[ToolSpec]]:
    """The form, and the tools that are offered in it."""
    form = form or ("tools" if tools else "direct")
    return form, tools if form in ("tools", "call_only") else ()


def build_prompt(
    question: Question,
    dialect: Dialect,
    tools: Sequence[ToolSpec],
    examples: Examples,
    sees_images: bool,
    form: Form | None = None,
    given: Sequence[Message] = (),
) -> list[Message]:
    """The prompt of a question.

    Args:
        tools: those that are offered; in the forms of GIVEN those whose results are: their examples show them.
        form: of which arm; without it that of `tools`, or of `direct` when there are no tools.
        given: tool turns whose results stand in the question's turn, for the forms of GIVEN. With none, its turn is
            as in `direct`.
    """
    form, offered = _settled(form, tools)
    shown = set() if form == "direct" else {tool.name for tool in tools}
    with_python = any(tool.name == "python" for tool in offered)
    messages = [text_message("system", f"{examples.system.strip()}\n{dialect.instructions(offered)}")]
    for example in examples.of(question.task):
        asked = text_message("user", _ask(example.question, example.images, with_python, sees_images))
        messages += _worked(asked, example, dialect, shown, form)
    asked = question_message(question, with_python, sees_images)
    return [*messages, _with_given(asked, given, dialect, sees_images)]


def template_fingerprint(
    task: Task,
    dialect: Dialect,
    tools: Sequence[ToolSpec],
    examples: Examples,
    sees_images: bool,
    form: Form | None = None,
) -> str:
    """Fingerprint of the way prompts of a task are made in a form, the question's own words aside.

    It is the hash of what the prompt comes to for questions with and without images and choices, as it is sent, with
    the strings that stop a turn: a changed instruction, worked example, tool description or rendering changes it. In
    the forms of GIVEN the questions come with a text and an image as results.
    """
    form, offered = _settled(form, tools)
    image = Message(role="tool", content=[Block(type="image", image="2" * 64)])
    given = [text_message("tool", "found"), image] if form in GIVEN else []
    shown = []
    for images in ([], ["0" * 64, "1" * 64]):
        for choices in ([], ["first", "second"]):
            probe = Question(
                source="", source_row="", task=task, text="?", images=images, choices=choices, answer="first",
                answer_type="short_text",
            )  # fmt: skip
            prompt = build_prompt(probe, dialect, tools, examples, sees_images, form, given)
            shown.append([render(dialect, prompt, None), [message.images for message in prompt]])
    # two controls may come to the same words, and are still two
    control = [] if form in ("direct", "tools") else [form]
    return content_hash([dialect.name, shown, list(dialect.stop(offered)), dict(dialect.extra), sees_images, *control])
