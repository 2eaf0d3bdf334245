"""The worked examples of each task, as a YAML file gives them."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from records.question import Task
from records.recipe.section import RecipeError, explain

SHIPPED_EXAMPLES = Path(__file__).parent / "worked_examples.yaml"


class ExampleStep(BaseModel):
    """One call of a worked example and what it returned."""

    model_config = ConfigDict(extra="forbid")

    say: str = ""
    tool: str
    arguments: dict[str, str]
    result: str


class Example(BaseModel):
    """One worked example, in all forms."""

    model_config = ConfigDict(extra="forbid")

    question: str
    images: int = 0
    """How many images the example's question is about. They are not shown; Python would read them."""
    direct: str
    """The way to the answer in words; the answer completes its last sentence."""
    steps: list[ExampleStep]
    conclude: str = ""
    """The text that leads from the last result to the answer."""
    answer: str


class Examples(BaseModel):
    """Instructions and worked examples of each task."""

    model_config = ConfigDict(extra="forbid")

    system: str
    perception: list[Example] = Field(default_factory=list)
    math: list[Example] = Field(default_factory=list)
    search: list[Example] = Field(default_factory=list)

    def of(self, task: Task) -> list[Example]:
        return getattr(self, task)


@lru_cache(maxsize=8)
def read_examples(path: str | Path | None = None) -> Examples:
    """Read the worked examples; the shipped ones when no path is given.

    Raises:
        RecipeError: the file cannot be read or is not of this shape.
    """
    file = Path(path) if path else SHIPPED_EXAMPLES
    try:
        return Examples.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{file}: cannot be read as YAML: {error}") from None
    except ValidationError as error:
        raise RecipeError(explain(error, Examples, str(file))) from None
