"""The parts of the recipe that say how often a question is attempted, and how sure a decision about it has to be."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AliasChoices, Field, model_validator

from records.recipe.section import Positive, PositiveReal, Section

FewSamples = Annotated[int, Field(ge=1, le=64)]
"""A number of samples per arm; the exact tests of more would take minutes."""
BenefitDecision = Literal["gain", "harm", "none", "open"]
BENEFIT_DECISIONS: tuple[BenefitDecision, ...] = get_args(BenefitDecision)
"""Everything that can be decided about the benefit of tools for a question."""


class Sampling(Section):
    """How one arm samples. All of it is part of a rollout's identity."""

    ALWAYS_HASHED: ClassVar = ("temperature", "top_p", "max_tokens", "max_turns", "reminders")

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    """The sampling temperature; 0 always takes the most probable token."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The probability mass that tokens are sampled from (nucleus sampling)."""
    max_tokens: Positive = 512
    """The most tokens that the model may write per turn."""
    total_tokens: Positive | None = None
    """The most tokens that the model may write in all turns of an attempt. Without it, max_tokens and max_turns are the
    only bounds."""
    max_turns: Positive = 1
    """The most assistant turns per attempt; a turn that answers a reminder is not counted."""
    reminders: Annotated[int, Field(ge=0)] = 1
    """How often a turn that neither calls a tool nor answers is followed by the request for the bare answer. Without
    one, a model that forgets the form of an answer looks wrong, and arms differ in form instead of in tools."""
    reasoning_in_history: bool = False
    """Whether a model reads, in later turns, the reasoning that its server gave apart from the text of earlier ones (as
    a <think> thought). Chat templates of reasoning models leave earlier thoughts out, and so does the default."""


class CountBand(Section):
    """An inclusive range of right answers out of the fixed number of samples."""

    min: Annotated[int, Field(ge=0)] = 0
    max: Annotated[int, Field(ge=0)]


class Difficulty(Section):
    """Which questions are neither too easy nor too hard, by the number of right answers without tools."""

    samples: Positive = 8
    """The number of attempts per question."""
    keep: CountBand = CountBand(min=0, max=2)
    """The numbers of right answers, out of `samples`, with which a question is kept."""
    waves: list[Positive] | None = None
    """The sizes of the waves. Sampling stops between waves when the decision is certain; all attempts are one wave when
    not given."""
    error: Annotated[
        float, Field(ge=0, lt=0.5, validation_alias=AliasChoices("error", "max_flip_probability"))
    ] = 0.0  # fmt: skip
    """The accepted probability that all samples would have decided otherwise than the ones that were made. 0 stops only
    when the decision is certain, which never changes it. Above 0, sampling also stops when the probability is at most
    this; the share of questions that are decided otherwise is then at most this too, on average over questions whose
    pass rates follow `prior`. The key may also be spelled `max_flip_probability`."""
    prior: tuple[PositiveReal, PositiveReal] = (0.5, 0.5)
    """The two parameters of the Beta distribution of pass rates, used only if `error` is above 0. (0.5, 0.5): many
    questions are nearly always right or nearly always wrong. (1, 1): all pass rates are equally frequent."""
    sampling: Sampling = Sampling()
    """How the attempts are sampled."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.waves and sum(self.waves) != self.samples:
            raise ValueError(f"waves {self.waves} add up to {sum(self.waves)}, but samples is {self.samples}")
        if not self.keep.min <= self.keep.max <= self.samples:
            raise ValueError(f"keep {self.keep.min} to {self.keep.max} does not lie within 0 to {self.samples} samples")
        return self


class ToolBenefit(Section):
    """The arms that show what tools are good for, and how sure the comparison has to be (docs/tool-benefit.md)."""

    samples: FewSamples = 8
    """The number of attempts per question and arm."""
    controls: list[str] = Field(default_factory=lambda: ["call_only", "result_only"])
    """The arms (measurement/arms/) beside `direct` and `tools`: calls whose results are withheld (`call_only`), results
    without calls (`result_only`), and the evidence that a source annotates its questions with (`oracle`)."""
    further: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False, validation_alias=AliasChoices("further", "extra_rollouts_per_question")),
    ] = 0.0
    """Extra rollouts per question, on average over all questions; they are spent on questions that are still undecided.
    The key may also be spelled `extra_rollouts_per_question`."""
    most_samples: Annotated[FewSamples, Field(validation_alias=AliasChoices("most_samples", "max_samples"))] = 32
    """The most attempts per question and arm, extra rollouts included. The key may also be spelled `max_samples`."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The difference of pass rates up to which tools count as making no difference."""
    decide_by: Literal["posterior", "exact"] = "posterior"
    """The rule that decides about questions (docs/tool-benefit.md): `posterior` decides as many as the false discovery
    rate allows by what the whole table says about each of them; `exact` tests each on its own attempts alone, and
    decides fewer."""
    most_error: Annotated[float, Field(gt=0, lt=0.5)] = 0.3
    """The posterior probability of being wrong above which `posterior` does not decide a question, whatever the average
    of the others is."""
    false_discovery_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """The accepted false discovery rate: the average share of "gain" decisions that are wrong, and of "harm" decisions
    likewise."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The confidence level of the intervals. It is also the probability from which a question counts as one that tools
    make no difference to."""
    sampling: Sampling = Sampling(max_turns=6, total_tokens=2048)
    """How the attempts of all arms are sampled. `total_tokens` is what an attempt may write in each arm, max_tokens *
    max_turns if not given; a single turn may use all of it."""

    @model_validator(mode="after")
    def _can_compare(self) -> Self:
        if self.sampling.max_turns < 2:
            raise ValueError("sampling: max_turns must be at least 2, or no attempt can read what its call returned")
        if self.further and self.most_samples < 2 * self.samples:
            raise ValueError(
                f"further rollouts can only go to questions with twice {self.samples} samples or more in an arm, and "
                f"most_samples is {self.most_samples}"
            )
        return self

    @property
    def tokens(self) -> int:
        """The most tokens that an attempt may write in all its turns, in any of the arms."""
        return self.sampling.total_tokens or self.sampling.max_tokens * self.sampling.max_turns

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of samples per arm at which a question may be decided: `samples`, and its doublings if there are
        extra rollouts."""
        looks = [self.samples]
        while self.further and looks[-1] * 2 <= self.most_samples:
            looks.append(looks[-1] * 2)
        return tuple(looks)


class Evaluation(Section):
    """How checkpoints are compared on the held-out questions, with and without tools."""

    samples: Positive = 1
    """The number of attempts per question, checkpoint and arm."""
    direct: Sampling = Sampling(temperature=0.0)
    """How attempts without tools are sampled."""
    tools: Sampling = Sampling(temperature=0.0, max_turns=6)
    """How attempts with tools are sampled."""
    limit_per_task: Positive | None = None
    """The most questions per task; all of them when not given."""
