"""A verdict changes with the version of the rules, never without it."""

from collections import Counter
from typing import get_args

import pytest

from records.question import AnswerType
from tests.verdicts.golden import judged, written
from verdicts import rules

GOLDEN = written()
NOW = GOLDEN.get(rules.VERSION, [])


@pytest.fixture
def verifier(monkeypatch):
    """The verifier's fingerprint with some math-verify, and some version of the rules."""

    def fingerprint(math_verify, version=rules.VERSION):
        monkeypatch.setattr(rules, "version", lambda name: math_verify)
        monkeypatch.setattr(rules, "VERSION", version)
        rules._verifier.cache_clear()
        return rules._verifier()

    yield fingerprint
    rules._verifier.cache_clear()


@pytest.mark.parametrize(
    "case", GOLDEN[rules.VERSION], ids=lambda case: f"{case['answer_type']}-{case['answer']!r:.40}"
)
def test_a_verdict_is_the_one_written_down(case):
    assert judged(case) == case, "count verdicts.rules.VERSION up, and run python -m tests.verdicts.golden"


def test_every_answer_type_and_rule_is_among_them():
    kinds = Counter(case["answer_type"] for case in NOW)
    assert set(kinds) == set(get_args(AnswerType)) and min(kinds.values()) >= 7 and kinds.total() >= 60
    for kind in kinds:
        assert {case["correct"] for case in NOW if case["answer_type"] == kind} == {True, False}


def test_every_version_so_far_is_written_down_and_differs_from_the_last():
    assert sorted(GOLDEN) == list(range(1, rules.VERSION + 1))
    assert all(GOLDEN[version] != GOLDEN[version + 1] for version in range(1, rules.VERSION))


def test_the_identity_of_the_first_version_is_the_one_that_stored_verdicts_have(verifier):
    assert verifier("0.9.0", version=1) == "05aa0c1831754f7ab2002d1fee84293c"


def test_another_math_verify_or_another_version_is_another_verifier(verifier):
    assert len({verifier("0.9.0", 1), verifier("0.9.1", 1), verifier("0.9.0", 2), verifier("0.9.1", 2)}) == 4
