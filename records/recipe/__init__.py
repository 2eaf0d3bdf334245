"""The recipe: the one typed configuration of a curation, read from YAML and refused whole when any part is wrong."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, WrapValidator, model_validator

from records.question import Task
from records.recipe.questions import QuestionRules
from records.recipe.section import RecipeError, Section, check_settings

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
LibraryName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")]
FewSamples = Annotated[int, Field(ge=1, le=64)]
"""The exact tests of more take minutes."""
PositiveReal = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Source(Section):
    """Where questions come from."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Also the name of the source's asset."""
    loader: str
    """A module of sources/."""
    limit: Positive | None = None
    """At most this many raw rows, drawn with the recipe's seed."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The loader's own settings, checked by the loader."""
    max_shrink: Fraction = 0.2
    """Share of the rows there were last time that may be gone; when more are, the source is not taken over."""
    evaluation: bool = False
    """An evaluation set, to be compared with: a row is kept with whatever of it can be read."""


class Corpus(Section):
    """The texts that the search tool searches."""

    loader: str
    options: dict[str, Any] = Field(default_factory=dict)


class Weights(Section):
    """Where the weights of a local model come from; tried in this order, the first that is given and there wins."""

    path: str | None = None
    """A Hugging Face model directory."""
    hub: str | None = None
    """A hub id."""
    revision: str = "main"
    package: str | None = None
    """The name of a hash-checked set of package bytes (rollouts/models/weights.py lists them)."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.path or self.hub or self.package):
            raise ValueError("give at least one of path, hub, package")
        return self


class Serve(Section):
    """How a local vLLM server is started."""

    dtype: Literal["bfloat16", "float16", "float32", "auto"] = "auto"
    max_model_len: Positive = 4096
    max_num_seqs: Positive = 32
    enforce_eager: bool = False
    kv_cache_gib: Positive = 2
    """Only for vLLM on a CPU, which reserves this much memory; a GPU server sizes its own."""
    extra_args: list[str] = Field(default_factory=list)
    """Further arguments of the server, such as ["--tensor-parallel-size", "4"]."""
    python: str | None = None
    """The interpreter of the environment vLLM lives in; ours when not given."""
    startup_timeout_s: Positive = 600


class Model(Section):
    """An OpenAI-compatible endpoint: a URL, a server we start from weights, or (for the teacher) the policy's."""

    url: str | None = None
    """For example http://host:8000/v1."""
    model: str | None = None
    """The name the endpoint serves it under; needed with url."""
    revision: str = ""
    """With url: whatever names the exact weights behind it; part of the fingerprint."""
    api_key_env: str | None = None
    """The environment variable that holds the key of the endpoint."""
    weights: Weights | None = None
    serve: Serve = Serve()
    same_as: Literal["policy"] | None = None
    sees_images: bool = False
    """Whether image blocks are sent; otherwise the prompt says that images can be read from Python."""
    concurrency: Positive = 32
    """Requests in flight at most."""
    timeout_s: Positive = 300
    max_retries: Annotated[int, Field(ge=0)] = 6

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.url, self.weights, self.same_as)) != 1:
            raise ValueError("give exactly one of url, weights, same_as")
        if self.url is not None and not self.model:
            raise ValueError("a url also needs model: the name the endpoint serves it under")
        return self


class Models(Section):
    policy: Model
    teacher: Model = Model(same_as="policy")

    @model_validator(mode="after")
    def _no_circle(self) -> Self:
        if self.policy.same_as:
            raise ValueError("policy: same_as is for the teacher; the policy needs url or weights")
        return self

    def role(self, name: str) -> Model:
        """The model behind a role, `same_as` followed."""
        model: Model = getattr(self, name)
        return getattr(self, model.same_as) if model.same_as else model


Layer = Literal["namespaces", "no_network", "no_capabilities", "rlimits", "seccomp", "cgroups"]


class Sandbox(Section):
    """Where model-written code runs, and the limits of one session (docs/sandbox.md)."""

    isolation: Literal["bubblewrap"] = "bubblewrap"
    minimum: list[Layer] = Field(default_factory=lambda: list(get_args(Layer)[:-1]))
    """The layers of isolation without which the run stops before any code runs."""
    libraries: list[LibraryName] = Field(
        default_factory=lambda: ["numpy", "PIL", "matplotlib", "sympy", "scipy", "pandas"]
    )
    """What the model is promised and a session has imported already, by the names of import."""
    cell_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Wall-clock seconds for one call."""
    cpu_s: Positive = 60
    """CPU seconds for one session."""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """CPU seconds a second for one session; kept where there are cgroups."""
    memory_mb: Positive = 1024
    """Of one session, beyond the libraries that all share."""
    processes: Positive = 32
    """And threads, of one session."""
    output_chars: Positive = 4000
    """Of stdout and stderr each, per call; what is cut is said."""
    images_per_call: Positive = 4
    sessions: Positive = 64
    """Sessions open at once; further ones wait."""
    cells: Positive | None = None
    """Calls running at once; further ones wait, which does not count as their time. Two a core by default."""
    servers: list[str] = Field(default_factory=list)
    """URLs of sandbox servers (`touchstone sandbox serve`) to use instead of this machine."""


class Search(Section):
    """The search tool."""

    corpus: list[Corpus] = Field(default_factory=list)
    top_k: Positive = 5
    snippet_words: Positive = 60


class Sampling(Section):
    """How one arm samples; all of it is part of a rollout's identity."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Positive = 512
    """Per turn."""
    total_tokens: Positive | None = None
    """Over all turns of an attempt. Without it, max_tokens and max_turns are the only bounds."""
    max_turns: Positive = 1
    """Assistant turns; a turn asked for by a reminder is not counted."""
    reminders: Annotated[int, Field(ge=0)] = 1
    """How often a turn that neither calls a tool nor answers is followed by the request for the bare answer. Without
    one, a model that forgets the form of an answer looks wrong, and arms differ in form instead of in tools."""


class Band(Section):
    """An inclusive range of pass rates; in difficulty, of right answers out of `samples`."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class CountBand(Section):
    """An inclusive range of right answers out of the fixed number of samples."""

    min: Annotated[int, Field(ge=0)] = 0
    max: Annotated[int, Field(ge=0)]


def _check_waves(samples: int, waves: list[int] | None) -> None:
    if waves and sum(waves) != samples:
        raise ValueError(f"waves {waves} add up to {sum(waves)}, but samples is {samples}")


class Difficulty(Section):
    """Keep questions that the model answers right, without tools, in this many of `samples` attempts."""

    samples: Positive = 8
    keep: CountBand = CountBand(min=0, max=2)
    waves: list[Positive] | None = None
    """Sizes of the waves; sampling stops when the decision is certain. One wave of all when not given."""
    error: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """0: stop only when certain, which never changes a decision. Above: stop also when the chance that all samples
    would decide otherwise is at most this. The share of questions decided otherwise is then at most this too, on
    average over questions whose pass rates follow `prior`."""
    prior: tuple[PositiveReal, PositiveReal] = (0.5, 0.5)
    """The two parameters of the Beta distribution of pass rates, used only where `error` is above 0. (0.5, 0.5): many
    questions are nearly always right or nearly always wrong. (1, 1): all pass rates are equally frequent."""
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_waves(self.samples, self.waves)
        if not self.keep.min <= self.keep.max <= self.samples:
            raise ValueError(f"keep {self.keep.min} to {self.keep.max} does not lie within 0 to {self.samples} samples")
        return self


Control = Literal["call_only", "result_only", "oracle"]
BenefitDecision = Literal["gain", "harm", "none", "open"]
BENEFIT_DECISIONS: tuple[BenefitDecision, ...] = get_args(BenefitDecision)


class ToolBenefit(Section):
    """The arms that show what tools are good for, and how sure the comparison has to be (docs/tool-benefit.md)."""

    samples: FewSamples = 8
    """Of every question in every arm."""
    controls: list[Control] = Field(default_factory=lambda: ["call_only", "result_only"])
    """The arms beside `direct` and `tools`: calls whose results are withheld, results without calls, and the aid that
    a source annotates its questions with."""
    further: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Further rollouts, on average over the questions, that go to those where a decision is still open."""
    most_samples: FewSamples = 32
    """Of one question in one arm, further ones included."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """A difference of pass rates up to which tools do neither good nor harm."""
    false_discovery_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Of the questions decided to gain by tools the share, on average, that does not; of those harmed likewise."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of intervals; also the probability from which a question counts as one that tools make no difference to."""
    sampling: Sampling = Sampling(max_turns=6, total_tokens=2048)
    """Of all arms. `total_tokens` is what an attempt may write in each of them, max_tokens * max_turns if not given; a
    turn may take all that is left of it."""

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
        """What an attempt in any of the arms may write in all its turns."""
        return self.sampling.total_tokens or self.sampling.max_tokens * self.sampling.max_turns

    @property
    def looks(self) -> tuple[int, ...]:
        """Samples an arm at which a question may be decided: `samples`, and its doublings where there are further
        rollouts to give."""
        looks = [self.samples]
        while self.further and looks[-1] * 2 <= self.most_samples:
            looks.append(looks[-1] * 2)
        return tuple(looks)


class Route(Section):
    """Questions whose numbers lie in every band given go to `to`; the first route that fits is taken."""

    to: Literal["rl", "cold_start"]
    direct: Band = Band()
    """Pass rate of the direct arm."""
    tools: Band = Band()
    """Pass rate of the tools arm."""
    benefit: Band = Band()
    """Estimate of the difference, corrected for chance."""
    benefit_low: Band = Band()
    """Lower end of the benefit's interval."""
    gain_probability: Band = Band()
    """Probability that the benefit is above the margin."""
    decision: list[BenefitDecision] | None = None
    """What is decided about the question, the false discovery rate controlled over the table."""


class SelectionStep(BaseModel):
    """A further step of the selection, with options of its own, which the step checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    step: str
    """A module of filters/selection/."""

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
    """Rejection sampling of trajectories from the teacher."""

    samples: Positive = 8
    keep_per_question: Positive = 1
    sampling: Sampling = Sampling(max_turns=6)
    checks: list[str] = Field(default_factory=lambda: ["right", "uses_tool", "error_free", "well_formed", "replayed"])
    """Names of checks in filters/trajectories/__init__.py, in the order they are made."""


class Split(Section):
    """Shares of the questions, drawn by the hash of what must not straddle a split (the image, or the question)."""

    held_out: Fraction = 0.1
    """Never rolled out for curation: kept for the evaluation."""
    validation: Fraction = 0.1
    """Of the questions that reach a training set."""
    salt: str = "touchstone"


class Sft(Section):
    """The SFT job."""

    formats: list[str] = Field(default_factory=lambda: ["llamafactory_sharegpt", "trl_messages"])
    steps: Positive = 100
    batch_size: Positive = 2
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    lora_rank: Positive | None = 16
    """Rank of the LoRA adapter; null trains all weights."""
    max_length: Positive = 4096


class Rl(Section):
    """The RL job."""

    formats: list[str] = Field(default_factory=lambda: ["verl_parquet", "trl_prompts"])
    steps: Positive = 100
    prompts_per_step: Positive = 8
    group_size: Annotated[int, Field(ge=2)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    lora_rank: Positive | None = 16
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    max_tokens: Positive = 512
    """Per turn."""
    max_turns: Positive = 6


class Evaluation(Section):
    """Base, SFT and RL checkpoints on the held-out questions, with and without tools."""

    samples: Positive = 1
    direct: Sampling = Sampling(temperature=0.0)
    tools: Sampling = Sampling(temperature=0.0, max_turns=6)
    limit_per_task: Positive | None = None


class Recipe(Section):
    """A whole curation."""

    name: str
    seed: int = 0
    sources: Annotated[list[Source], Field(min_length=1)]
    models: Models
    dialect: str = "plain_tags"
    """A module of rollouts/dialects/."""
    examples: str | None = None
    """A YAML file of worked examples per task; the ones shipped with Touchstone when not given."""
    tools: dict[Task, list[str]] = Field(default_factory=dict)
    """Tools offered per task, by name."""
    sandbox: Sandbox = Sandbox()
    search: Search = Search()
    questions: QuestionRules = QuestionRules()
    split: Split = Split()
    difficulty: Difficulty = Difficulty()
    tool_benefit: ToolBenefit = ToolBenefit()
    selection: Annotated[list[SelectionEntry], Field(min_length=1)]
    """The routes, and after them further steps: `{step: balance, by: task, max_ratio: 2}`."""
    cold_start: ColdStart = ColdStart()
    sft: Sft = Sft()
    rl: Rl = Rl()
    evaluation: Evaluation = Evaluation()
    nightly: str = "0 2 * * *"
    """The cron line of the nightly refresh."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"sources: the name {sorted(twice)[0]!r} is given twice")
        if any("search" in tools for tools in self.tools.values()) and not self.search.corpus:
            raise ValueError("tools: search is offered, but search.corpus names no corpus")
        kinds = [isinstance(entry, Route) for entry in self.selection]
        if not kinds[0] or sorted(kinds, reverse=True) != kinds:
            raise ValueError(
                "selection: routes (to: …), at least one, come first, and further steps (step: …) after them"
            )
        room, most = self.models.policy.serve.max_model_len, self.tool_benefit.tokens
        if self.models.policy.weights and most >= room:
            raise ValueError(
                f"tool_benefit: an attempt may write {most} tokens in all, but models.policy.serve.max_model_len "
                f"is {room}, the prompt included: set tool_benefit.sampling.total_tokens, or give the model more room"
            )
        return self


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: with one line for each thing that is wrong.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such recipe file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this file holds {type(values).__name__}")
    return check_settings(Recipe, values, str(path), "")


def recipe_path() -> Path:
    """The recipe that TOUCHSTONE_RECIPE names: a path, or the name of one in pipelines/recipes/; demo by default."""
    given = os.environ.get("TOUCHSTONE_RECIPE", "demo")
    if given.endswith((".yaml", ".yml")):
        return Path(given)
    folder = Path(__file__).parent.parent.parent / "pipelines" / "recipes"
    path = folder / f"{given}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise RecipeError(f"TOUCHSTONE_RECIPE={given}: no such recipe; shipped ones: {known}; or give a path to a YAML")
    return path
