"""How it is decided whether an answer is right. A new verifier, such as one that asks a model, is one module of this
folder that offers

- `Options`: the section (`records.recipe.section.Section`) of its settings,
- `build(options, context) -> Verifier`.

A verifier that asks a model makes its calls through `context.calls` with a kind of its own, such as `judge`; then a
killed run does not pay for them twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from records.plugins import get_module, module_names
from records.question import Question
from records.recipe.section import check_settings
from rollouts.models.contract import Completer
from rollouts.tool_calls import Calls
from verdicts.rules import Verdict


class Verifier(Protocol):
    """Whoever says whether answers are right."""

    def fingerprint(self, question: Question) -> str:
        """Identity of all that a verdict depends on beyond the answer and the question's own identity.

        It reads `answer_type`, `aliases` and `answer_rule` of the question and nothing else. A stored verdict with
        another fingerprint is reached again.
        """
        ...

    async def verify(self, answer: str | None, question: Question) -> Verdict:
        """Whether `answer` answers `question` right.

        Raises:
            ModelUnavailable: a model that had to be asked could not be reached (ModelOutage when no call gets through).
        """
        ...


@dataclass(frozen=True)
class JudgeContext:
    """What a verifier may be built from."""

    completer: Callable[[str], Completer]
    """The model of a role of the recipe."""
    calls: Calls
    """Where finished calls are stored."""


def verifier_names() -> list[str]:
    """The names of all verifiers, sorted."""
    return module_names(__name__)


def build_verifier(name: str, options: Mapping[str, Any], context: JudgeContext) -> Verifier:
    """The verifier of the module `name`, with these settings.

    Raises:
        RecipeError: there is no such module, or its settings are wrong.
    """
    module = get_module(__name__, name, "verifier", "verifier")
    return module.build(check_settings(module.Options, dict(options), "recipe", f"verifier.{name}"), context)
