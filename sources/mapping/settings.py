"""The settings that say which columns of a row hold what, checked by themselves and against the columns there are."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from records.question import AnswerRule, AnswerType, Task
from records.recipe import RecipeError
from sources.mapping.evidence import BoxForm
from sources.mapping.expressions import Path, compiled
from sources.mapping.published import with_published


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"needs exactly one group, which is the answer; it has {groups}")
    return value


def _value(value: str) -> str:
    compiled(value)
    return value


Value = Annotated[str, AfterValidator(_value)]
"""The exact name of a column, or an expression over the row (sources/mapping/expressions.py)."""


class Columns(BaseModel):
    """The columns of a row: each setting is a column's name or an expression. Only `text` must exist; null: there is
    none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Value = "question"
    """The text of the question, or of the document."""
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
    """The name of the row for people; its number when not given."""
    title: Value | None = None
    """The title of a document of a corpus."""
    extra: list[Value] = Field(default_factory=list)
    """Columns or expressions whose values are kept in the question's `extra`, as JSON, under their own names."""
    evidence_texts: Annotated[Value | None, Field(validation_alias=AliasChoices("evidence_texts", "aid_texts"))] = None
    """What is known to hold the answer, shown to the arm `oracle`: a text, or a list of texts."""
    evidence_boxes: Annotated[Value | None, Field(validation_alias=AliasChoices("evidence_boxes", "aid_boxes"))] = None
    """Where the answer is seen in the first image, shown to the arm `oracle`: four numbers, or a list of such."""

    def named(self, use: str) -> dict[str, str]:
        """The columns and expressions that must exist, by their settings."""
        asked = ("text", "answer", "images", "choices", "aliases", "id", "evidence_texts", "evidence_boxes")
        keys = ("text", "id", "title") if use == "documents" else asked
        named = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        if use != "documents":
            named |= {f"extra.{i}": column for i, column in enumerate(self.extra)}
        return named


class MappingOptions(BaseModel):
    """The settings that the Hugging Face and the local-files loader share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    published: str | None = None
    """The name of a ready-made mapping in sources/published/; settings given beside it win over its own."""
    columns: Columns = Columns()
    task: Task | None = None
    """The task of the questions; a corpus needs none."""
    answer_type: AnswerType | Literal["infer"] = "infer"
    """`infer`: choice where there are choices, boolean for yes/no, number for a number, expression for a formula where
    the task is math, else short_text."""
    answer_rule: AnswerRule = ""
    """The benchmark whose metric compares the answers (verdicts/metrics.py): chartqa (numbers within 5 %, no units),
    math (no units), squad or vqa (their forms of texts). Otherwise the rules of verdicts/rules.py."""
    answer_pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    """A regular expression whose one group is the answer within the answer column, such as '#### (.+)' for GSM8K."""
    first_choice: Literal[0, 1] = 0
    """The number of the first choice, for answers that are whole numbers: choices are counted from 0 or from 1."""
    keep: Value | None = None
    """An expression; rows for which it gives false, null, 0 or nothing are rejected as `not_wanted`."""
    box_form: BoxForm = "xyxy"
    """The meaning of the four numbers of `columns.evidence_boxes`; pixels count on the upright picture."""
    images: Literal["optional", "required"] = "optional"
    """Whether a row without an image is a question without one, or rejected as `image_missing`."""
    image_folder: str | None = None
    """The folder that image paths start from; without it, paths are refused. No path leads out of it."""
    licence: str = "unknown"
    """The licence of the questions."""

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("published") is None:
            return values
        return with_published(values, set(cls.model_fields))


def check_mapping(options: MappingOptions, use: str) -> None:
    """Raises ValueError for what is wrong only in combination."""
    if use == "questions" and options.task is None:
        raise ValueError("task: this key is needed for questions: perception, math or search")


def _field(schema: Any, path: Path) -> list[str] | None:
    """The fields that exist where a path of fields cannot be followed; None if the path exists or this cannot be
    told."""
    kind: Any = None
    for depth, name in enumerate(path):
        names = list(schema.names) if depth == 0 else [field.name for field in kind]
        if name not in names:
            return names
        kind = schema.field(name).type if depth == 0 else kind.field(name).type
        while hasattr(kind, "value_type"):  # lists, and texts kept as a dictionary
            kind = kind.value_type
        if not hasattr(kind, "fields"):  # not a struct: the schema does not say what is inside
            return None
    return None


def check_columns(options: MappingOptions, there: Iterable[str] | Any, use: str, source: str) -> None:
    """Raises RecipeError for a column that is used but not there.

    `there` is the names of the columns or, better, the Arrow schema, in which fields of structs are looked up too.
    """
    schema = cast(Any, there) if hasattr(there, "field") else None
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
