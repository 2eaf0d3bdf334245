"""The parts of the recipe that say which questions and trajectories reach which training set."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, WrapValidator, model_validator

from records.recipe.sampling import BenefitDecision, Sampling
from records.recipe.section import Positive, Section, Share


class Band(Section):
    """An inclusive range of numbers; an end that is not given is open."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Route(Section):
    """Where a question goes whose numbers lie in every given band; the first route that fits is taken."""

    to: Literal["rl", "cold_start"]
    """The training set that the questions are for."""
    direct: Band = Band()
    """The pass rate of the direct arm."""
    tools: Band = Band()
    """The pass rate of the tools arm."""
    benefit: Band = Band()
    """The estimated difference of the two pass rates, corrected for chance."""
    benefit_low: Band = Band()
    """The lower end of the benefit's interval."""
    gain_probability: Band = Band()
    """The probability that the benefit is above the margin."""
    decision: list[BenefitDecision] | None = None
    """What is decided about the question, with the false discovery rate controlled over the whole table."""


class SelectionStep(BaseModel):
    """A further step of the selection, with options of its own, which the step checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    step: str
    """The name of a module of filters/selection/."""

    @property
    def options(self) -> dict[str, Any]:
        """All keys but `step`."""
        return dict(self.model_extra or {})


def _selection_entry(value: Any, _union: Any) -> Route | SelectionStep:
    """A route or a step, whichever the keys say, so that a message names the keys of that one alone."""
    if isinstance(value, Route | SelectionStep):
        return value
    return (SelectionStep if isinstance(value, dict) and "step" in value else Route).model_validate(value)


SelectionEntry = Annotated[Route | SelectionStep, WrapValidator(_selection_entry)]


class ColdStart(Section):
    """How trajectories are sampled from the teacher, and which of them are kept."""

    samples: Positive = 8
    """The number of attempts per question."""
    keep_per_question: Positive = 1
    """The most trajectories that are kept per question."""
    sampling: Sampling = Sampling(max_turns=6)
    """How the attempts are sampled."""
    checks: list[str] = Field(default_factory=lambda: ["right", "uses_tool", "error_free", "well_formed", "replayed"])
    """The names of checks (filters/trajectories/), in the order in which they are made."""


class Split(Section):
    """The shares of the questions, drawn by the hash of what must not straddle a split (the image, or the question)."""

    held_out: Share = 0.1
    """The share of questions that are kept for the evaluation and never rolled out for curation."""
    validation: Share = 0.1
    """The share of a training set's questions that go to its validation part. Of fewer than 50 (linked ones counted
    once) it is exactly this share, rounded up. A question that has been in a train part never goes there."""
    salt: str = "touchstone"
    """A text that enters the hash: another one draws another split."""
