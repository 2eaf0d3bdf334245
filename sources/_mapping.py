"""From a row with columns of any name to a Question: what the Hugging Face and the local-files loader share."""

import base64
import binascii
import io
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from records.images import ImageError, ImageStore, check_image
from records.question import AnswerType, Document, Question, Reject, Task
from records.recipe import Source
from records.settings import RecipeError
from sources._draw import reject

MAX_IMAGE_BYTES = 100_000_000
MAX_CHOICES = 26


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"needs exactly one group, which is the answer; it has {groups}")
    return value


class Columns(BaseModel):
    """Which column holds what. Only `text` and `answer` must be there; null says there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = "question"
    answer: str = "answer"
    images: str | None = None
    """A column of images or of lists of images: encoded bytes, {bytes, path}, a path, or a data URI."""
    choices: str | None = None
    """A column of lists of texts, or of {text: [...], label: [...]} as in ARC."""
    aliases: str | None = None
    """A column of lists of texts (or of one text) that count as the answer too."""
    id: str | None = None
    """A column that names the row for people; its number when not given."""
    title: str | None = None
    """For a corpus: the column of titles."""
    extra: list[str] = Field(default_factory=list)
    """Columns kept, as JSON, in the question's `extra`."""

    def named(self, use: str) -> dict[str, str]:
        """Setting -> column, for the columns that must be there."""
        keys = (
            ("text", "id", "title") if use == "documents" else ("text", "answer", "images", "choices", "aliases", "id")
        )
        named = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        if use != "documents":
            named |= {f"extra.{i}": column for i, column in enumerate(self.extra)}
        return named


class MappingOptions(BaseModel):
    """The settings that both loaders share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: Columns = Columns()
    task: Task | None = None
    """Needed for questions."""
    answer_type: AnswerType | Literal["infer"] = "infer"
    """`infer`: choice where there are choices, boolean for yes/no, number for a number, else short_text."""
    answer_pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    """A regular expression whose one group is the answer within the answer column, such as '#### (.+)' for GSM8K."""
    first_choice: Literal[0, 1] = 0
    """What an answer that is a whole number means where there are choices: 0 counts them from 0, 1 from 1."""
    licence: str = "unknown"


def check_mapping(options: MappingOptions, use: str) -> None:
    """Raises ValueError for what is wrong only in combination."""
    if use == "questions" and options.task is None:
        raise ValueError("task: this key is needed for questions: perception, math or search")


def check_columns(options: MappingOptions, there: Iterable[str], use: str, source: str) -> None:
    """Raises RecipeError for a column that is named but not there."""
    there = list(there)
    for key, column in options.columns.named(use).items():
        if column not in there:
            raise RecipeError(
                f"source {source!r}: there is no column {column!r} (columns.{key}); columns there: {', '.join(there)}"
            )


class BrokenRow(Exception):
    """A row that cannot become a question. `reason` is the code for the reject row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def image_bytes(value: Any, read: Callable[[str], bytes]) -> bytes:
    """The encoded bytes of an image in any form datasets give. `read` opens a path.

    Raises:
        BrokenRow: there is none, or it cannot be opened.
    """
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str) and value.startswith("data:image/"):
        try:
            return base64.b64decode(value.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise BrokenRow("image_unreadable", f"data URI: {error}") from None
    if isinstance(value, str) and value:
        try:
            return read(value)
        except BrokenRow:
            raise
        except Exception as error:  # any file system may be behind the path
            raise BrokenRow("image_missing", f"{value}: {type(error).__name__}: {error}") from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "save"):  # an image that is decoded already
        buffer = io.BytesIO()
        value.save(buffer, "PNG")
        return buffer.getvalue()
    raise BrokenRow(
        "image_missing", "the image cell is empty" if value is None else f"a {type(value).__name__} is no image"
    )


def _text(value: Any) -> str:
    """A cell as text; yes/no for booleans, no ".0" behind whole numbers."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list | tuple | dict | bytes):
        raise BrokenRow("not_a_text", f"a {type(value).__name__} where a text is needed")
    return str(value).strip()


def _choices(value: Any) -> tuple[list[str], list[str]]:
    """The texts of the choices and their labels ([] when they have none)."""
    if value is None:
        return [], []
    if isinstance(value, dict):
        labels = [_text(label) for label in value.get("label") or []]
        texts = value.get("text") or []
    else:
        labels, texts = [], value
    if not isinstance(texts, list | tuple):
        raise BrokenRow("choices_unreadable", f"a {type(value).__name__} is no list of choices")
    choices = [_text(text) for text in texts]
    if len(choices) > MAX_CHOICES or (labels and len(labels) != len(choices)):
        raise BrokenRow("choices_unreadable", f"{len(choices)} choices, {len(labels)} labels")
    return choices, labels


def choice_letter(answer: Any, choices: list[str], labels: list[str], first: int) -> str:
    """The letter of the right choice, given its label, number, letter or text.

    Raises:
        BrokenRow: the answer is none of the choices.
    """
    text = _text(answer)
    position: int | None = None
    if text in labels:
        position = labels.index(text)
    elif isinstance(answer, int) and not isinstance(answer, bool):
        position = answer - first
    elif text in choices:
        position = choices.index(text)
    elif re.fullmatch(r"\(?[A-Za-z][).]?", text):
        position = ord(text.strip("(). ").upper()) - ord("A")
    elif re.fullmatch(r"\d+", text):
        position = int(text) - first
    if position is None or not 0 <= position < len(choices):
        raise BrokenRow("answer_not_a_choice", f"{text!r} is none of {choices}"[:300])
    return chr(ord("A") + position)


_NUMBER = re.compile(r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)%?")


def infer(answer: str) -> AnswerType:
    """The type of an answer without choices."""
    if answer.lower() in ("yes", "no", "true", "false"):
        return "boolean"
    return "number" if _NUMBER.fullmatch(answer) else "short_text"


def to_question(
    spec: Source,
    options: MappingOptions,
    number: object,
    row: dict[str, Any],
    images: ImageStore,
    read: Callable[[str], bytes],
) -> Question | Reject:
    """The question of one raw row, or the reject that says what is wrong with it. Stores its images."""
    columns, task = options.columns, options.task or ""
    name = str(number)
    try:
        if columns.id is not None and row.get(columns.id) is not None:
            name = _text(row[columns.id]) or name
        text = _text(row.get(columns.text))
        if not text:
            raise BrokenRow("empty_text")
        choices, labels = _choices(row.get(columns.choices)) if columns.choices else ([], [])
        raw = row.get(columns.answer)
        if options.answer_pattern is not None:
            match = re.search(options.answer_pattern, _text(raw))
            if match is None:
                raise BrokenRow("answer_pattern_unmatched", _text(raw)[:200])
            raw = match[1]
        if _text(raw) == "":
            raise BrokenRow("empty_answer")
        answer_type = options.answer_type
        if answer_type == "infer":
            answer_type = "choice" if choices else infer(_text(raw))
        answer = choice_letter(raw, choices, labels, options.first_choice) if answer_type == "choice" else _text(raw)
        aliases = row.get(columns.aliases) if columns.aliases else None
        aliases = [_text(a) for a in (aliases if isinstance(aliases, list | tuple) else [aliases])]
        pictures = row.get(columns.images) if columns.images else []
        data = [image_bytes(p, read) for p in (pictures if isinstance(pictures, list | tuple) else [pictures])]
        for item in data:
            if len(item) > MAX_IMAGE_BYTES:
                raise BrokenRow("image_too_large", f"{len(item)} bytes, at most {MAX_IMAGE_BYTES} are taken")
            check_image(item)
        return Question(
            source=spec.name,
            source_row=name,
            task=options.task,
            text=text,
            images=[images.put(item) for item in data],
            choices=choices if answer_type == "choice" else [],
            answer=answer,
            answer_type=answer_type,
            aliases=[a for a in dict.fromkeys(aliases) if a and a != answer],
            licence=options.licence,
            extra=json.dumps({c: row.get(c) for c in columns.extra}, default=str, ensure_ascii=False),
        )
    except (BrokenRow, ImageError) as error:
        return reject(spec, name, task, error.reason, error.detail)


def to_document(options: MappingOptions, source: str, number: object, row: dict[str, Any]) -> Document | None:
    """The document of one raw row; None when its text is empty."""
    columns = options.columns
    text = _text(row.get(columns.text))
    identity = (_text(row.get(columns.id)) if columns.id else "") or str(number)
    title = _text(row.get(columns.title)) if columns.title else ""
    return Document(document_id=identity, title=title, text=text, source=source) if text else None
