from typing import get_args

import polars as pl

from measurement.endings import LOOK_AT, alike
from records.trajectory import StopReason


def endings(**counts):
    rows = [(arm, reason) for arm, of_arm in counts.items() for reason, n in of_arm.items() for _ in range(n)]
    return pl.DataFrame(rows, schema=["arm", "stop_reason"], orient="row")


def test_an_arm_whose_attempts_end_alike_without_an_answer_is_named():
    (said,) = alike(endings(direct={"answered": 1, "no_answer": 19}, tools={"answered": 20}))
    assert said.startswith("direct: 19 of 20 attempts ended as no_answer") and "dialect" in said
    for reason in ("max_tokens", "context_length", "refused", "malformed_reply", "max_turns"):
        (said,) = alike(endings(tools={reason: 3}))
        assert reason in said


def test_answers_few_attempts_and_mixed_endings_are_nothing_to_say():
    assert not list(alike(endings(direct={"answered": 20}, tools={"no_answer": 1})))
    assert not list(alike(endings(direct={"no_answer": 10, "answered": 10}, tools={"no_answer": 8, "max_tokens": 8})))


def test_every_end_without_an_answer_has_its_hint():
    assert set(LOOK_AT) == set(get_args(StopReason)) - {"answered"}
