"""From a row with columns of any name to a question: what the Hugging Face and the local-files loader share."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from records.question import AnswerType, Document, Reject, Task
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.contract import Draft
from sources.draw import reject
from sources.mapping.answer_type import infer
from sources.mapping.choices import BrokenRow, cell_text, choice_letter, read_choices
from sources.mapping.evidence import NOT_READ, BoxForm, row_aid
from sources.mapping.expressions import ExpressionError, Path, compiled, search
from sources.mapping.image_cells import Read, folder_reader, image_bytes

__all__ = ["BrokenRow", "MappingOptions", "check_columns", "check_mapping", "infer", "to_document", "to_draft"]


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"needs exactly one group, which is the answer; it has {groups}")
    return value


def _value(value: str) -> str:
    compiled(value)
    return value


Value = Annotated[str, AfterValidator(_value)]
"""The exact name of a column, or an expression over the row (sources/mapping/expressions.py)."""


class Columns(BaseModel):
    """What holds what: a column's name or an expression. Only `text` must be there; null: there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Value = "question"
    answer: Value | None = "answer"
    """A text, number or boolean; or a list of texts, of which the first is the answer and the others are aliases.
    null is for an evaluation set that hides its answers: its questions have empty ones, which no curation keeps."""
    images: Value | None = None
    """An image or a list of them: encoded bytes, {bytes, path}, a path below `image_folder`, a data URI or base64."""
    choices: Value | None = None
    """A list of texts, {text: [...], label: [...]} as in ARC, or {A: text, B: text, …}."""
    aliases: Value | None = None
    """Texts that count as the answer too: one, or a list, which may hold lists."""
    id: Value | None = None
    """What names the row for people; its number when not given."""
    title: Value | None = None
    """For a corpus: the titles."""
    extra: list[Value] = Field(default_factory=list)
    """Kept, as JSON, in the question's `extra`, under the name or expression given."""
    aid_texts: Value | None = None
    """What is known to hold the answer, shown to the arm `oracle`: a text, or a list of texts."""
    aid_boxes: Value | None = None
    """Where the answer is seen in the first image, shown to the arm `oracle`: four numbers, or a list of such."""

    def named(self, use: str) -> dict[str, str]:
        """Setting -> column or expression, for what must be there."""
        asked = ("text", "answer", "images", "choices", "aliases", "id", "aid_texts", "aid_boxes")
        keys = ("text", "id", "title") if use == "documents" else asked
        named = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        if use != "documents":
            named |= {f"extra.{i}": column for i, column in enumerate(self.extra)}
        return named


class MappingOptions(BaseModel):
    """The settings that both loaders share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    published: str | None = None
    """The name of a ready-made mapping in sources/published/; the settings given beside it win over its own."""
    columns: Columns = Columns()
    task: Task | None = None
    """Needed for questions."""
    answer_type: AnswerType | Literal["infer"] = "infer"
    """`infer`: choice where there are choices, boolean for yes/no, number for a number, expression for a formula where
    the task is math, else short_text."""
    answer_pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    """A regular expression whose one group is the answer within the answer column, such as '#### (.+)' for GSM8K."""
    first_choice: Literal[0, 1] = 0
    """What an answer that is a whole number means where there are choices: 0 counts them from 0, 1 from 1."""
    keep: Value | None = None
    """An expression; rows for which it gives false, null, 0 or nothing are rejected as `not_wanted`."""
    box_form: BoxForm = "xyxy"
    """What the numbers of `columns.aid_boxes` are; pixels count on the upright picture."""
    image_folder: str | None = None
    """Where image paths start; without it, paths are refused. No path leads out of it."""
    licence: str = "unknown"

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("published") is None:
            return values
        from sources.mapping.published import with_published

        return with_published(values, set(cls.model_fields))


def check_mapping(options: MappingOptions, use: str) -> None:
    """Raises ValueError for what is wrong only in combination."""
    if use == "questions" and options.task is None:
        raise ValueError("task: this key is needed for questions: perception, math or search")


def _field(schema: Any, path: Path) -> list[str] | None:
    """The fields there are where a path of fields ends up missing; None when it is there or cannot be told."""
    kind: Any = None
    for depth, name in enumerate(path):
        names = list(schema.names) if depth == 0 else [field.name for field in kind]
        if name not in names:
            return names
        kind = schema.field(name).type if depth == 0 else kind.field(name).type
        while hasattr(kind, "value_type"):  # lists, and texts kept as a dictionary
            kind = kind.value_type
        if not hasattr(kind, "fields"):  # no struct: what is inside is not the schema's to say
            return None
    return None


def check_columns(options: MappingOptions, there: Iterable[str] | Any, use: str, source: str) -> None:
    """Raises RecipeError for a column that is used but not there.

    `there` is the names of the columns or, better, the Arrow schema, in which fields of structs are looked up too.
    """
    schema = there if hasattr(there, "field") else None
    names = list(schema.names) if schema is not None else list(there)
    given = {f"columns.{key}": value for key, value in options.columns.named(use).items()}
    if use == "questions" and options.keep is not None:
        given["keep"] = options.keep
    for key, text in given.items():
        if text in names:
            continue
        used = "" if compiled(text).tree is None else f" used in {text!r}"
        for path in compiled(text).paths:
            if path[0] not in names:
                raise RecipeError(
                    f"source {source!r}: there is no column {path[0]!r}{used} ({key}); "
                    f"columns there: {', '.join(names)}"
                )
            fields = _field(schema, path) if schema is not None else None
            if fields is not None:
                raise RecipeError(
                    f"source {source!r}: there is no field {'.'.join(path)!r}{used} ({key}); "
                    f"fields there: {', '.join(fields)}"
                )


def _get(row: dict[str, Any], value: str | None) -> Any:
    if value is None:
        return None
    try:
        return compiled(value).value(row)
    except ExpressionError as error:
        raise BrokenRow("expression_failed", str(error)) from None


def _flat(value: Any) -> Iterator[str]:
    """The texts of a text, a list, or a list of lists."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield cell_text(value)


def _answer(options: MappingOptions, raw: Any) -> tuple[Any, list[str]]:
    """The answer, still with its own type, and the aliases that came with it."""
    also: list[str] = []
    if isinstance(raw, list | tuple):
        texts = [text for text in dict.fromkeys(_flat(raw)) if text]
        if options.answer_type == "set":
            return ", ".join(texts), []
        raw, also = (texts[0], texts[1:]) if texts else (None, [])
    if options.answer_pattern is not None:
        text = cell_text(raw)
        try:
            match = search(options.answer_pattern, text)
        except ExpressionError as error:
            raise BrokenRow("expression_failed", f"answer_pattern: {error}") from None
        if match is None:
            raise BrokenRow("answer_pattern_unmatched", text[:200])
        raw = match
    if cell_text(raw) == "":
        raise BrokenRow("empty_answer")
    return raw, also


def _asked(options: MappingOptions, row: dict[str, Any]) -> dict[str, Any]:
    """Answer, its type, choices and aliases, as fields of a Question."""
    columns = options.columns
    choices, labels = read_choices(_get(row, columns.choices))
    raw, aliases = _answer(options, _get(row, columns.answer)) if columns.answer is not None else ("", [])
    answer_type = options.answer_type
    if answer_type == "infer":
        answer_type = "choice" if choices and columns.answer is not None else infer(cell_text(raw), options.task)
    is_choice = answer_type == "choice"
    answer = choice_letter(raw, choices, labels, options.first_choice) if is_choice else cell_text(raw)
    aliases += _flat(_get(row, columns.aliases))
    return {
        "choices": choices if is_choice else [],
        "answer": answer,
        "answer_type": answer_type,
        "aliases": [alias for alias in dict.fromkeys(aliases) if alias and alias != answer],
    }


def _pictures(options: MappingOptions, row: dict[str, Any], read: Read | None) -> Iterator[bytes | BrokenRow]:
    """The encoded bytes of each of a row's images, or what is wrong with it."""
    by_path = folder_reader(options.image_folder)
    opened = by_path if options.image_folder is not None or read is None else read
    try:
        pictures = _get(row, options.columns.images) if options.columns.images else []
    except BrokenRow as error:
        yield error
        return
    for cell in pictures if isinstance(pictures, list | tuple) else [pictures]:
        try:
            yield image_bytes(cell, by_path, opened)
        except BrokenRow as error:
            yield error


def _extra_text(extra: dict[str, Any]) -> str:
    return _unicode(json.dumps(extra, default=str, ensure_ascii=False))


def _unicode(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which no table can hold."""
    return text.encode(errors="replace").decode()


def to_draft(
    spec: Source, options: MappingOptions, number: object, row: dict[str, Any] | BrokenRow, read: Read | None = None
) -> Draft | Reject:
    """The question of one raw row with its images as encoded bytes, not yet looked at; or the reject that says what is
    wrong with the row; a row that its loader could not read comes as that. Of a row of an evaluation set only the text
    must be there, and the images that can be read are kept.

    `read` opens the path of a {bytes: null, path} cell, where the loader knows what its paths mean.
    """
    columns = options.columns
    name = _unicode(str(number))
    try:
        if isinstance(row, BrokenRow):
            raise row
        name = cell_text(_get(row, columns.id)) or name
        if options.keep is not None and not _get(row, options.keep):
            raise BrokenRow("not_wanted", options.keep)
        text = cell_text(_get(row, columns.text))
        if not text:
            raise BrokenRow("empty_text")
        extra = {column: _get(row, column) for column in columns.extra}
        try:
            asked = _asked(options, row)
        except BrokenRow as error:
            if not spec.evaluation:
                raise
            asked = {"answer": "", "answer_type": "short_text"}
            extra["not_read"] = error.reason
        pictures: list[bytes] = []
        for picture in _pictures(options, row, read):
            if not isinstance(picture, BrokenRow):
                pictures.append(picture)
            elif not spec.evaluation:
                raise picture
            else:
                extra["not_read"] = picture.reason
        aid = None
        try:
            if not spec.evaluation:
                aid = row_aid(_get(row, columns.aid_texts), _get(row, columns.aid_boxes), options.box_form)
        except BrokenRow as error:
            extra[NOT_READ] = error.reason
        fields = {
            "source": spec.name,
            "source_row": name,
            "task": options.task,
            "text": text,
            **asked,
            "licence": options.licence,
            "extra": _extra_text(extra),
        }
        return Draft(fields, pictures, aid)
    except BrokenRow as error:
        return reject(spec, name, options.task or "", error.reason, _unicode(error.detail))
    except RecursionError:
        return reject(spec, name, options.task or "", "too_deep", "lists and objects too deep in each other")


def to_document(options: MappingOptions, source: str, number: object, row: dict[str, Any]) -> Document | None:
    """The document of one raw row; None when it has no text, or its text cannot be read."""
    columns = options.columns
    try:
        text = cell_text(_get(row, columns.text))
        identity = cell_text(_get(row, columns.id)) or str(number)
        title = cell_text(_get(row, columns.title))
    except BrokenRow:
        return None
    return Document(document_id=identity, title=title, text=text, source=source) if text else None
