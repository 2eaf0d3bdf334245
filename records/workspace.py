"""The workspace: a recipe, and the places that everything made by it is kept in."""

import tempfile
import time
from functools import lru_cache
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from records.images.store import ImageStore
from records.recipe import Recipe, RecipeError, read_recipe
from records.tables import TableStore

_read_recipe = lru_cache(maxsize=8)(read_recipe)


def rejects_table(stage: str) -> str:
    """The name of the table that holds the rejects of a stage."""
    return f"rejects/{stage}"


class Workspace:
    """A recipe and the folder that its tables, images, ledger and checkpoints are kept in.

    Args:
        recipe_file: path of the recipe's YAML file. It is read once per process.
        data: fsspec root. Training sets, checkpoints, logs and the search index need it to be a local folder.
        ledger_at: fsspec root of the ledger, where it is not in `data`: runs on several machines can share one.
    """

    def __init__(self, recipe_file: str, data: str, ledger_at: str = "") -> None:
        self.recipe_file, self.data, self.ledger_at = recipe_file, data, ledger_at
        self.began = time.time_ns() // 1_000_000
        """When this run began, in milliseconds since 1970."""

    @property
    def recipe(self) -> Recipe:
        """The recipe. Raises RecipeError as `read_recipe`."""
        return _read_recipe(self.recipe_file)

    @property
    def tables(self) -> TableStore:
        """The tables that stages hand each other."""
        return TableStore(f"{self.data}/tables")

    @property
    def images(self) -> ImageStore:
        """The images of all questions and results, by content hash."""
        return ImageStore(f"{self.data}/images")

    @property
    def ledger(self) -> str:
        """The fsspec root of the ledger."""
        return self.ledger_at or f"{self.data}/ledger"

    def claim(self) -> None:
        """Note that the folder is this recipe's.

        Raises:
            RecipeError: it is another recipe's, whose tables have the same names.
        """
        fs, path = fsspec.url_to_fs(f"{self.data}/recipe.txt")
        name = self.recipe.name
        if not fs.exists(path):
            fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            fs.pipe_file(path, f"{name}\n".encode())
        elif (owner := fs.cat_file(path).decode().strip()) != name:
            raise RecipeError(
                f"the data folder {self.data} holds the tables of the recipe {owner!r}, and this is {name!r}: give "
                "each its own with TOUCHSTONE_DATA (TOUCHSTONE_LEDGER may be shared). If the recipe was only renamed, "
                "remove recipe.txt there"
            )

    def folder(self, name: str) -> Path:
        """A local folder of the workspace; it is made if it is not there."""
        path = Path(self.data) / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def scratch(self) -> Path:
        """A local folder for what is on its way into a table: in the workspace, where that is local."""
        fs, path = fsspec.url_to_fs(f"{self.data}/scratch")
        folder = Path(path) if isinstance(fs, LocalFileSystem) else Path(tempfile.gettempdir()) / "touchstone"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
