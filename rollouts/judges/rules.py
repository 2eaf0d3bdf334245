"""The verifier that applies the rules of verdicts/rules.py and asks no model. It is the default."""

import asyncio

from records.question import Question
from records.recipe.section import Section
from rollouts.judges import JudgeContext
from verdicts.rules import Verdict, judge, judged_with


class Options(Section):
    """The rules have no settings."""


class RuleVerifier:
    """The rules as a verifier. Satisfies `Verifier`."""

    def fingerprint(self, question: Question) -> str:
        return judged_with(question.answer_type, question.aliases, question.answer_rule)

    async def verify(self, answer: str | None, question: Question) -> Verdict:
        if question.answer_type != "expression":
            return judge(answer, question)
        # an expression takes its time in a process of its own, and the loop must not wait for it
        return await asyncio.to_thread(judge, answer, question)


RULES = RuleVerifier()
"""The one instance: it holds no state."""


def build(options: Options, context: JudgeContext) -> RuleVerifier:
    """The rules, whatever the context."""
    return RULES
