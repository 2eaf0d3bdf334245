"""What leaves for the trainers. A new product is one module of this package that offers

    PRODUCT: Product     whose name is the module's

and from it follow an asset `<name>_training_set` with its checks, its rejects and its folder of training_sets/. What a
product is written as are the formats (training/formats/) of its kind.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from filters.questions.splits import draw_validation
from records.control_tokens import control_tokens
from records.images.store import ImageStore
from records.plugins import get_module, module_names
from records.question import Reject
from records.recipe import Recipe
from records.recipe.section import RecipeError
from records.workspace import Workspace
from rollouts.dialects import Dialect, get_dialect
from training.formats import format_names, get_format
from training.rows import Rendering, SplitName


@dataclass(frozen=True)
class ProductInput:
    """What the rows of a product are made from."""

    workspace: Workspace
    """The recipe, and where images and tools are."""
    tables: Mapping[str, pl.DataFrame]
    """The tables that the product asks for, by their names."""
    tokenizer: str | None = None
    """The folder of the policy's tokenizer, where there is one."""
    in_train: Collection[str] = ()
    """Ids of questions and of pictures that have been in the product's train part."""

    @property
    def rendering(self) -> Rendering:
        """How messages become turns."""
        return Rendering(self.dialect, self.images, control_tokens(self.tokenizer))

    @property
    def recipe(self) -> Recipe:
        """The workspace's recipe."""
        return self.workspace.recipe

    @property
    def dialect(self) -> Dialect:
        """The dialect that the policy is trained in."""
        return get_dialect(self.recipe.dialect)

    @property
    def images(self) -> ImageStore | None:
        """Where images are, when the policy sees them; None when it does not, and then no image leaves."""
        return self.workspace.images if self.recipe.models.role("policy").sees_images else None

    def split_of(self, table: str, asked: Collection[str] | None = None) -> Callable[[str], SplitName]:
        """The split of a question_id, drawn among the questions of a table, or among those of them with these ids."""
        questions, split = self.tables[table], self.recipe.split
        if asked is not None:
            questions = questions.filter(pl.col("question_id").is_in(list(asked)))
        drawn = draw_validation(questions, split.validation, f"{split.salt}/validation", self.in_train)
        names: dict[str, SplitName] = {
            key: "validation" if side else "train" for key, side in zip(questions["question_id"], drawn, strict=True)
        }
        return names.__getitem__


class RowEntry(NamedTuple):
    """The line of a row in the table of its product."""

    row_id: str
    """The id of the row of the source table that it was made from."""
    question_id: str
    task: str
    split: SplitName


@dataclass(frozen=True)
class Product:
    """One kind of training set."""

    name: str
    """The name of the product's module and of its folder."""
    description: str
    """What the rows are, as the beginning of a sentence."""
    kind: str
    """The kind of formats that it is written in; a format names it in `KIND`."""
    section: str | None
    """The section of the recipe whose key `formats` lists the formats; None: all formats of the kind."""
    source_table: str
    """The table each row of which becomes a row or a reject."""
    id_column: str
    """The column of the source table that tells its rows apart."""
    make: Callable[[ProductInput, list[Reject]], Sequence[Any]]
    """The function that makes the rows as the formats take them, and adds what cannot leave to the rejects. A reject
    is filed under the stage `<name>_training_set`, by the id of its row in the source table."""
    entry: Callable[[Any], RowEntry]
    """The line of one of these rows in the product's table."""
    more_tables: tuple[str, ...] = ()
    """Further tables that `make` reads."""

    @property
    def asset(self) -> str:
        """The name of the asset, of its table and of the stage of its rejects."""
        return f"{self.name}_training_set"

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all tables that `make` reads."""
        return (self.source_table, *self.more_tables)

    def formats(self, recipe: Recipe) -> list[str]:
        """The names of the formats that the product is written in.

        Raises:
            RecipeError: the recipe lists a format that there is not, or one of another kind.
        """
        if self.section is None:
            return [name for name in format_names() if self.kind == get_format(name).KIND]
        listed: list[str] = getattr(recipe, self.section).formats
        for name in listed:
            if self.kind != get_format(name).KIND:
                raise RecipeError(f"{self.section}.formats: {name!r} is not a format for {self.kind}")
        return listed


def product_names() -> list[str]:
    """The names of all products."""
    return module_names(__name__)


def get_product(name: str) -> Product:
    """The product of the module `name`.

    Raises:
        RecipeError: there is no such product.
        ValueError: the module gives its product another name.
    """
    product: Product = get_module(__name__, name, "product").PRODUCT
    if product.name != name:
        raise ValueError(f"training/products/{name}.py: the product calls itself {product.name!r}, not {name!r}")
    return product
