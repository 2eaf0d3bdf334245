"""Rows of questions as the tables of planted and clean ones write them."""

from records.question import Question

IMAGE = ["0" * 64]


def row(number, task, text, answer, kind, more):
    return Question(
        source="planted", source_row=str(number), task=task, text=text, answer=answer, answer_type=kind, **more
    )


def search(text, answer="Paris", kind="short_text", **more):
    return "search", text, answer, kind, more


def math(text, answer="7", kind="number", **more):
    return "math", text, answer, kind, more


def seen(text, answer="red", kind="short_text", **more):
    return "perception", text, answer, kind, {"images": IMAGE, **more}
