import pytest

from filters import trajectories
from records.question import Question
from records.trajectory import ExecutedCall, Message, Rollout, ToolCall, ToolResult, text_message

NAMES = ["right", "uses_tool", "error_free", "well_formed", "replayed"]
QUESTION = Question(source="s", source_row="1", task="math", text="1+1?", answer="2", answer_type="number")
CALL = ToolCall(name="python", arguments='{"code": "print(2)"}')


def candidate(rollout_id="r", correct=True, outcome="ok", text="2", again=("2",), answer="2", calls=1, tokens=10):
    result = ToolResult(outcome=outcome, text=text)
    turns = []
    for _ in range(calls):
        turns += [Message(role="assistant", tool_calls=[CALL]), text_message("tool", text, name="python")]
    turns.append(Message(role="assistant", answer=answer))
    rollout = Rollout(
        rollout_id=rollout_id, question_id=QUESTION.question_id, arm="teacher", model_fingerprint="m",
        prompt_fingerprint="p", sampling="{}", tool_versions="{}", sample_index=0,
        prompt=[text_message("user", "1+1?")], messages=turns, answer=answer,
        tool_calls=[ExecutedCall(call=CALL, result=result)] * calls, prompt_tokens=1, completion_tokens=tokens,
        seconds=0.1, stop_reason="answered", correct=correct,
    )  # fmt: skip
    replays = [] if again is None else [[ToolResult(outcome="ok", text=text)] * calls for text in again]
    return trajectories.Candidate(rollout, QUESTION, {} if again is None else {"replay": replays})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"correct": False}, "wrong_answer"),
        ({"correct": None}, "unfinished"),
        ({"calls": 0}, "no_tool_use"),
        ({"outcome": "raised"}, "tool_error"),
        ({"outcome": "invalid_call"}, "tool_error"),
        ({"answer": "  "}, "malformed"),
        ({"answer": "2" * 400}, "malformed"),
        ({"again": ["3", "3"]}, "replay_differs"),
        ({"again": ["3", "4"]}, "not_repeatable"),
        ({"again": ["3", "2"]}, "not_repeatable"),
        ({"again": []}, "not_repeatable"),
        ({"again": None}, "replay_failed"),
    ],
)
def test_each_defect_is_found_and_named(change, reason):
    kept, rejects = trajectories.apply([candidate(**change)], NAMES, 1)
    assert not kept and [r.reason for r in rejects] == [reason]
