"""The arms in which the same question is attempted. A new arm is one new module of this folder that offers

- `FORM`: what its prompts show, whether tools may be called, and what a call does (rollouts.prompts.forms.Form),
- `first_sample(recipe) -> int`, if its attempts are to be other ones than those of a stage before (0 if not).

A recipe names it under `tool_benefit.controls`. Modules whose name starts with an underscore are not arms.
"""

from dataclasses import dataclass
from types import ModuleType

from filters.difficulty.band import rule_of
from filters.difficulty.stopping import Rule
from records.plugins import get_module, module_names
from records.recipe import Recipe, Sampling, ToolBenefit
from records.recipe.section import RecipeError
from rollouts.prompts.forms import Form

COMPARED = ("tools", "direct")
"""The arms that every comparison has, in the order in which they are attempted."""


@dataclass(frozen=True)
class Arm:
    """One arm of one stage."""

    name: str
    """Part of a rollout's identity: the name of its form, or `teacher`."""
    role: str
    """The role whose model attempts, such as `policy` or `teacher`."""
    form: Form
    """How its prompts are made, and what a call comes to."""
    sampling: Sampling
    rule: Rule
    """How many samples are made, in which waves, and when they may stop."""
    first_sample: int = 0
    """Index of the first sample; attempts with other indices are other attempts."""
    most_samples: int = 0
    """Stored samples of a question that count, where they may be more than the rule asks for."""

    @property
    def fixed(self) -> bool:
        """Whether the rule decides nothing: as many samples are made as are wanted, whatever comes out."""
        return self.rule.keep is None

    @property
    def counted_samples(self) -> int:
        """Samples of a question that count when they are stored."""
        return max(self.rule.samples, self.most_samples)


def arm_names() -> list[str]:
    """The names of all arms."""
    return module_names(__name__)


def get_arm(name: str) -> ModuleType:
    """The module of an arm.

    Raises:
        RecipeError: there is no arm of that name; the message lists those there are.
    """
    return get_module(__name__, name, "arm")


def check_controls(recipe: Recipe) -> None:
    """Raises RecipeError for a control of the recipe that is not an arm, or is one that every comparison has."""
    for name in recipe.tool_benefit.controls:
        if name in COMPARED:
            raise RecipeError(f"tool_benefit.controls: {name!r} is compared in any case; leave it out")
        try:
            get_arm(name)
        except RecipeError as error:
            raise RecipeError(f"tool_benefit.controls: {error}") from None


def direct_arm(recipe: Recipe) -> Arm:
    """The attempts that decide about difficulty."""
    return Arm("direct", "policy", get_arm("direct").FORM, recipe.difficulty.sampling, rule_of(recipe.difficulty))


def compared_arms(recipe: Recipe) -> list[Arm]:
    """The arms that show what tools are good for: tools, direct, and the recipe's controls, all sampled alike.

    An attempt may write as much in one arm as in any other, over however many turns. The direct attempts are new ones:
    those that chose the question would make any tool look good.
    """
    settings = recipe.tool_benefit
    return [_compared(recipe, settings, name) for name in dict.fromkeys([*COMPARED, *settings.controls])]


def _compared(recipe: Recipe, settings: ToolBenefit, name: str) -> Arm:
    module = get_arm(name)
    first = module.first_sample(recipe) if hasattr(module, "first_sample") else 0
    rule = _fixed(settings.samples)
    return Arm(name, "policy", module.FORM, _same_budget(settings), rule, first, settings.most_samples)


def _fixed(samples: int) -> Rule:
    return Rule(waves=(samples,), keep=None)


def _same_budget(settings: ToolBenefit) -> Sampling:
    """One budget of tokens for a whole attempt; a turn may take all that is left of it."""
    return settings.sampling.model_copy(update={"max_tokens": settings.tokens, "total_tokens": settings.tokens})


def tools_arm(recipe: Recipe) -> Arm:
    """The compared arm with tools: its results are what `result_only` shows."""
    return _compared(recipe, recipe.tool_benefit, "tools")


def teacher_arm(recipe: Recipe) -> Arm:
    """The teacher's attempts at the cold-start questions."""
    settings = recipe.cold_start
    return Arm("teacher", "teacher", get_arm("tools").FORM, settings.sampling, _fixed(settings.samples))


def evaluation_arms(recipe: Recipe) -> tuple[Arm, Arm]:
    """Both arms of the evaluation, direct first."""
    settings, rule = recipe.evaluation, _fixed(recipe.evaluation.samples)
    return (
        Arm("direct", "policy", get_arm("direct").FORM, settings.direct, rule),
        Arm("tools", "policy", get_arm("tools").FORM, settings.tools, rule),
    )
