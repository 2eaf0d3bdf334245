"""The parts of the recipe that say where questions and documents come from."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from records.recipe.section import Positive, Section, Share


class Source(Section):
    """A source of questions."""

    ALWAYS_HASHED: ClassVar = ("name", "loader", "limit", "options")

    evaluation: ClassVar[bool] = False
    """Whether the source is an evaluation set. The program decides this; no key of a recipe does."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """The name of the source, which is also the name of its asset and of its table."""
    loader: str
    """The name of a module of sources/loaders/."""
    limit: Positive | None = None
    """The most raw rows that are read, drawn with the recipe's seed; all of them when not given."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The loader's own settings, checked by the loader."""
    max_shrink: Share = 0.2
    """The share of the last time's rows that may be gone. A source that lost more is held back: its table does not
    change until the loss is accepted."""


class EvaluationSource(Source):
    """An evaluation set, to be compared with: a row is kept with whatever of it can be read."""

    evaluation: ClassVar[bool] = True


class Corpus(Section):
    """A collection of texts that the search tool searches."""

    ALWAYS_HASHED: ClassVar = ("loader", "options")

    loader: str
    """The name of a module of sources/loaders/ that offers documents."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The loader's own settings, checked by the loader."""


class SearchSettings(Section):
    """The settings of the search tool."""

    corpus: list[Corpus] = Field(default_factory=list)
    """The texts that are searched. A recipe that offers the search tool names at least one corpus."""
    top_k: Positive = 5
    """The number of documents that one call returns."""
    snippet_words: Positive = 60
    """The number of words that are shown of each document. More than 24 characters count as several words, and two
    characters of a script without blanks as one."""
