"""The mapping of a row with columns of any name to a question, which the Hugging Face and the local-files loader
share."""

import json
from collections.abc import Iterator
from typing import Any

from records.question import Document, Reject
from records.recipe import Source
from sources.contract import Draft
from sources.draw import reject
from sources.mapping.answer_type import infer
from sources.mapping.cells import BrokenRow, cell_text
from sources.mapping.choices import choice_letter, read_choices
from sources.mapping.evidence import NOT_READ, RowEvidence, row_evidence
from sources.mapping.expressions import ExpressionError, compiled, search
from sources.mapping.image_cells import Read, folder_reader, image_bytes, is_no_image
from sources.mapping.image_marks import without_image_marks
from sources.mapping.settings import MappingOptions


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


def answer_number(options: MappingOptions, row: dict[str, Any] | BrokenRow) -> int | None:
    """The whole number that a row, as its loader stores it, gives as the answer; None for anything else."""
    if options.columns.choices is None or options.columns.answer is None or isinstance(row, BrokenRow):
        return None
    try:
        value = compiled(options.columns.answer).value(row)
    except ExpressionError:
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _asked(options: MappingOptions, row: dict[str, Any], number: int | None) -> dict[str, Any]:
    """Answer, its type, choices and aliases, as fields of a Question; `number` is that of a named class."""
    columns = options.columns
    choices, labels = read_choices(_get(row, columns.choices))
    raw, aliases = _answer(options, _get(row, columns.answer)) if columns.answer is not None else ("", [])
    answer_type = options.answer_type
    if answer_type == "infer":
        answer_type = "choice" if choices and columns.answer is not None else infer(cell_text(raw), options.task)
    is_choice = answer_type == "choice"
    first = options.first_choice
    if is_choice and number is not None and isinstance(raw, str) and cell_text(raw) not in (*labels, *choices):
        raw, first = number, 0  # classes are counted from 0
    answer = choice_letter(raw, choices, labels, first) if is_choice else cell_text(raw)
    aliases += _flat(_get(row, columns.aliases))
    return {
        "choices": choices if is_choice else [],
        "answer": answer,
        "answer_type": answer_type,
        "answer_rule": options.answer_rule,
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
    cells = pictures if isinstance(pictures, list | tuple) else [pictures]
    if all(is_no_image(cell) for cell in cells):  # a question without an image, among others that have some
        if options.images == "required":
            yield BrokenRow("image_missing", "the row has no image")
        return
    for cell in cells:
        try:
            yield image_bytes(cell, by_path, opened)
        except BrokenRow as error:
            yield error


def _readable(pictures: Iterator[bytes | BrokenRow], spec: Source, extra: dict[str, Any]) -> list[bytes]:
    """The images of a row. The first that cannot be read is raised; an evaluation set goes without it, and `extra` says
    why."""
    good: list[bytes] = []
    for picture in pictures:
        if not isinstance(picture, BrokenRow):
            good.append(picture)
        elif not spec.evaluation:
            raise picture
        else:
            extra["not_read"] = picture.reason
    return good


def _evidence(options: MappingOptions, row: dict[str, Any], spec: Source, extra: dict[str, Any]) -> RowEvidence | None:
    """The evidence of a row; where it cannot be read, `extra` says why."""
    if spec.evaluation:
        return None
    columns = options.columns
    try:
        return row_evidence(_get(row, columns.evidence_texts), _get(row, columns.evidence_boxes), options.box_form)
    except BrokenRow as error:
        extra[NOT_READ] = error.reason
        return None


def _extra_text(extra: dict[str, Any]) -> str:
    return _unicode(json.dumps(extra, default=str, ensure_ascii=False))


def _unicode(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which no table can hold."""
    return text.encode(errors="replace").decode()


def to_draft(
    spec: Source,
    options: MappingOptions,
    number: object,
    row: dict[str, Any] | BrokenRow,
    read: Read | None = None,
    answer: int | None = None,
) -> Draft | Reject:
    """The question of one raw row with its images as encoded bytes, not yet looked at; or the reject that says what is
    wrong with the row. A row that its loader could not read is a BrokenRow. An evaluation set keeps a row that has a
    text, with the images that can be read.

    `read` opens the path of a {bytes: null, path} cell, where the loader knows what its paths mean. `answer` is the
    number that the loader stores in the place of the answer, where that is the name of a class (`answer_number`).
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
            asked = _asked(options, row, answer)
        except BrokenRow as error:
            if not spec.evaluation:
                raise
            asked = {"answer": "", "answer_type": "short_text"}
            extra["not_read"] = error.reason
        pictures = _readable(_pictures(options, row, read), spec, extra)
        text = without_image_marks(text, len(pictures))
        if not text:
            raise BrokenRow("empty_text", "the text is only a mark for its image")
        evidence = _evidence(options, row, spec, extra)
        fields = {
            "source": spec.name,
            "source_row": name,
            "task": options.task,
            "text": text,
            **asked,
            "licence": options.licence,
            "extra": _extra_text(extra),
        }
        return Draft(fields, pictures, evidence)
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
