"""Whether two answers to one question are the same answer: the verdict itself is asked, with either as the gold one.

What compares answers (duplicates, contradictions, choices) asks this module, so that it cannot disagree with what later
judges the attempts. Agreement is not transitive: 50 % agrees with 0.5 and with 50, which do not agree with each other.
"""

from collections.abc import Sequence
from functools import lru_cache

from records.question import AnswerRule, AnswerType, Question
from verdicts.latex import canonical, to_latex
from verdicts.numbers import parse_number
from verdicts.rules import judge, unwrap
from verdicts.sets import parts
from verdicts.texts import normalise


def agree(
    one: str, other: str, answer_type: AnswerType, choices: Sequence[str] = (), answer_rule: AnswerRule = ""
) -> bool:
    """Whether either of two answers would be judged right if the other were the gold answer.

    One direction is enough, as the verdict allows an answer what it asks of no gold (more decimals, a unit): two rows
    of which one's answer is right by the other do not contradict each other.
    """
    return _agree(*sorted((one, other)), answer_type, tuple(choices), answer_rule)


@lru_cache(maxsize=1 << 16)
def _agree(one: str, other: str, answer_type: AnswerType, choices: tuple[str, ...], answer_rule: AnswerRule) -> bool:
    def right(answer: str, gold: str) -> bool:
        question = Question(
            source="", source_row="", task="math", text="", answer=gold, answer_type=answer_type,
            choices=list(choices), answer_rule=answer_rule,
        )  # fmt: skip
        return judge(answer, question).correct

    return right(one, other) or right(other, one)


@lru_cache(maxsize=1 << 16)
def agreement_key(answer: str, answer_type: AnswerType) -> str:
    """Equal for nearly all answers of a type that agree, as the verdict reads them: to look for such pairs by. Whether
    they agree is still asked."""
    text = unwrap(answer)
    if answer_type == "set":
        return "|".join(sorted(agreement_key(part, "short_text") for part in parts(text)))
    number = parse_number(text)
    if number is not None:
        value = number.value / 100 if number.percent else number.value
        return f"{float(value):.6g}" if abs(value) < 1e300 else str(value)
    if answer_type == "expression":
        return canonical(to_latex(text)[0])
    return normalise(text)
