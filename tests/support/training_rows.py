"""Rows made with a real dialect: words in capitals mark whose text they are in."""

import io
from collections.abc import Callable

from PIL import Image

from records.images.store import ImageStore
from records.question import Question
from records.trajectory import Block, Message, Trajectory, text_message
from rollouts.dialects import get_dialect
from training.reward import NamedTool

TOOLS = [NamedTool("python", "Runs Python.", {"properties": {"code": {"description": "code"}}})]
DIALECT = get_dialect("plain_tags")


def png(store: ImageStore, color: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), color).save(buffer, "PNG")
    return store.put(buffer.getvalue())


def question(number: int = 0, **more: object) -> Question:
    values = {"text": f"what is {number} + 1?", "answer": str(number + 1), "answer_type": "number", "task": "math"}
    return Question(source="sums", source_row=str(number), **(values | more))


def prompt(asked: Question, images: list[str] | None = None) -> list[Message]:
    blocks = [Block(type="image", image=image) for image in images or []]
    return [
        text_message("system", "You answer questions."),
        text_message("user", "what is 2 + 2?"),
        Message(role="assistant", raw="I compute it.\n<python>\nprint(2 + 2)\n</python>"),
        text_message("tool", "EXAMPLE 4", name="python"),
        Message(role="assistant", raw="<answer>4</answer>"),
        Message(role="user", content=[*blocks, Block(type="text", text=asked.text)]),
    ]


def trajectory(
    asked: Question, images: list[str] | None = None, observed: list[str] | None = None, output: str = "OBSERVED 1"
) -> Trajectory:
    """A call, its observation (with images, if given) and the right answer."""
    shown = [Block(type="image", image=image) for image in observed or []]
    messages = [
        DIALECT.parse("LEARNT first\n<python>\nprint(1)\n", "stop", TOOLS),
        Message(role="tool", name="python", content=[*shown, Block(type="text", text=output)]),
        DIALECT.parse(f"LEARNT é last <answer>{asked.answer}</answer>", "stop", TOOLS),
    ]
    return Trajectory(
        trajectory_id=f"t-{asked.question_id}",
        question_id=asked.question_id,
        rollout_id="r",
        prompt=prompt(asked, images),
        messages=messages,
        answer=asked.answer,
        images=[*(images or []), *(observed or [])],
        checks="{}",
    )


def split_by(validation: set[str]) -> Callable[[str], str]:
    return lambda question_id: "validation" if question_id in validation else "train"
