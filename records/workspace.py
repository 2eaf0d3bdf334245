"""The workspace: a recipe, and the folder that holds everything that is made with it."""

import tempfile
import time
from functools import lru_cache
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from records.images.store import ImageStore
from records.recipe import Recipe, read_recipe
from records.tables import TableStore

_read_recipe = lru_cache(maxsize=8)(read_recipe)


def rejects_table(stage: str) -> str:
    """The name of the table that holds the rejects of a stage."""
    return f"rejects/{stage}"


class Workspace:
    """A recipe and the folder that holds its tables, images, ledger and checkpoints.

    Args:
        recipe_file: the YAML file of the recipe.
        data: the fsspec root; training sets, checkpoints, logs and the search index need it to be a local folder.
        ledger_at: the fsspec root of the ledger, if it is not in `data`: runs on several machines can share one.
    """

    def __init__(self, recipe_file: str, data: str, ledger_at: str = "") -> None:
        self.recipe_file, self.data, self.ledger_at = recipe_file, data, ledger_at
        self.began = time.time_ns() // 1_000_000
        """When this run began, in milliseconds since 1970."""

    @property
    def recipe(self) -> Recipe:
        return _read_recipe(self.recipe_file)

    @property
    def tables(self) -> TableStore:
        return TableStore(f"{self.data}/tables")

    @property
    def images(self) -> ImageStore:
        return ImageStore(f"{self.data}/images")

    @property
    def ledger(self) -> str:
        """The fsspec root of the ledger."""
        return self.ledger_at or f"{self.data}/ledger"

    def folder(self, name: str) -> Path:
        """A local folder of the workspace, made if it is not there."""
        path = Path(self.data) / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def scratch(self) -> Path:
        """A local folder for files that are on their way into a table; in the workspace if that is local."""
        fs, path = fsspec.url_to_fs(f"{self.data}/scratch")
        folder = Path(path) if isinstance(fs, LocalFileSystem) else Path(tempfile.gettempdir()) / "touchstone"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
