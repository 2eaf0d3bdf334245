"""The prompt of one arm: system text, worked examples, the question.

A small model ignores a tool that is only described, so every task has worked examples; the arms show the same examples
with the same answers, once worked out with the tool and once in words, so that they differ in the tool alone.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from records.identity import canonical_json, content_hash
from records.question import Question, Task
from records.settings import RecipeError, explain
from records.trajectory import Block, Message, ToolCall, text_message
from rollouts.dialects import Dialect, ToolSpec, render

SHIPPED_EXAMPLES = Path(__file__).parent / "worked_examples.yaml"


class Step(BaseModel):
    """One call of a worked example and what it returned."""

    model_config = ConfigDict(extra="forbid")

    say: str = ""
    tool: str
    arguments: dict[str, str]
    result: str


class Example(BaseModel):
    """One worked example, in both arms."""

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


def build_prompt(
    question: Question, dialect: Dialect, tools: Sequence[ToolSpec], examples: Examples, sees_images: bool
) -> list[Message]:
    """The prompt for `question` with these tools offered (none: the direct arm)."""
    offered = {tool.name for tool in tools}
    with_python = "python" in offered
    messages = [text_message("system", f"{examples.system.strip()}\n{dialect.instructions(tools)}")]
    for example in examples.of(question.task):
        messages.append(text_message("user", _ask(example.question, example.images, with_python, sees_images)))
        steps = [step for step in example.steps if step.tool in offered]
        if not steps:
            messages.append(Message(role="assistant", reasoning=example.direct, answer=example.answer))
            continue
        for step in steps:
            call = ToolCall(name=step.tool, arguments=canonical_json(step.arguments))
            messages.append(Message(role="assistant", reasoning=step.say, tool_calls=[call]))
            messages.append(text_message("tool", step.result, name=step.tool))
        messages.append(Message(role="assistant", reasoning=example.conclude, answer=example.answer))
    messages.append(question_message(question, with_python, sees_images))
    return messages


def template_fingerprint(
    task: Task, dialect: Dialect, tools: Sequence[ToolSpec], examples: Examples, sees_images: bool
) -> str:
    """Fingerprint of the way prompts of a task are made, the question's own words aside.

    It is the hash of what the prompt comes to for questions with and without images and choices, as it is sent, with
    the strings that stop a turn: a changed instruction, worked example, tool description or rendering changes it.
    """
    shown = []
    for images in ([], ["0" * 64, "1" * 64]):
        for choices in ([], ["first", "second"]):
            probe = Question(
                source="", source_row="", task=task, text="?", images=images, choices=choices, answer="first",
                answer_type="short_text",
            )  # fmt: skip
            prompt = build_prompt(probe, dialect, tools, examples, sees_images)
            shown.append([render(dialect, prompt, None), [message.images for message in prompt]])
    return content_hash([dialect.name, shown, list(dialect.stop(tools)), dict(dialect.extra), sees_images])
