"""Ready-made mappings of published datasets: one YAML each in sources/published/."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from records.recipe.section import RecipeError, Section, check_settings

FOLDER = Path(__file__).parent.parent / "published"

# The keys that say where a dataset is; they are right for the published files only.
_PLACE = {"path", "name", "split", "revision", "data_files", "data_dir", "streaming", "buffer"}
# What `path` may be beside a hub id: how files are read, which is the same for every copy of them.
_FORMATS = {"arrow", "csv", "imagefolder", "json", "parquet", "text", "webdataset"}

# Keys of `columns` by the names that they had first, under which a recipe may still give them.
_FIRST_NAMES = {"aid_texts": "evidence_texts", "aid_boxes": "evidence_boxes"}


class Published(Section):
    """A published dataset: where it is, and what its columns mean."""

    about: str
    """A description of the dataset, with its paper."""
    use: Literal["training", "evaluation"]
    columns_known_from: str | dict[str, str]
    """The evidence for what the columns mean, for all of them or column by column."""
    notes: str = ""
    """Remarks on the licence, the access, and files to fetch first."""
    check_against: list[str] = Field(default_factory=list)
    """Evaluation sets that share its images or texts. A recipe with this dataset has to name them, or to waive them."""
    options: dict[str, Any] = Field(min_length=1)
    """The settings of the loader `huggingface`."""


def published_names() -> list[str]:
    """The names a recipe may give as `published`."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def read_published(name: str) -> Published:
    """The mapping of that name.

    Raises:
        RecipeError: there is none; the message lists those there are.
    """
    if name not in published_names():
        raise RecipeError(f"there is no published mapping {name!r}; known: {', '.join(published_names())}")
    path = FOLDER / f"{name}.yaml"
    return check_settings(Published, yaml.safe_load(path.read_text(encoding="utf-8")), path.name, "")


def with_published(own: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The settings of a loader that knows the settings `known`: those of the published mapping that `own` names, and
    over them `own` (its `columns` key by key).

    Where `own` says where the data are, what the mapping says of its place is left out: all of it with a loader of
    local files; with `data_files` all but the name of a format, or the commit of the same `path`; the commit with
    another `path`.

    Raises:
        RecipeError: there is no such mapping.
    """
    options = dict(read_published(str(own["published"])).options)
    path = options.get("path")
    same = own.get("path", path) == path
    if "data_files" not in known:
        dropped = _PLACE
    elif own.get("data_files") is not None:
        kept = {"path"} if path in _FORMATS else {"revision"} if same and "path" in own else set()
        dropped = _PLACE - kept
    else:
        dropped = set() if same else {"revision"}
    options = {key: value for key, value in options.items() if key in known and key not in dropped}
    columns = own.get("columns")
    merged = {**options, **own}
    if isinstance(columns, dict):
        plain = {name if (name := _FIRST_NAMES.get(key, key)) not in columns else key: columns[key] for key in columns}
        merged["columns"] = {**options.get("columns", {}), **plain}
    return merged
