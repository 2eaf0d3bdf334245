"""Replies as servers really send them, and what each must become: tests/traps/replies.jsonl.

A line holds the status, headers and body of a reply, `is` (what it must become), the fields that count, and `because`.
`is` is `completion`; `context_length`; `refused` (that question, by rules of content); `refused_one`, `refused_all` and
`refused_max` (refusals of that request, of all, and for its max_tokens); `finish_reason` (one that is not known); or
the kind of a failure that may pass.
"""

import json
from pathlib import Path

import httpx

from rollouts.models.contract import ContextLengthExceeded, QuestionRefused
from rollouts.models.replies import Asked, EndpointRefused, RetryLater, read_completion, read_failure, received

TRAPS = Path(__file__).parents[2] / "traps" / "replies.jsonl"
MAX_TOKENS = 64
OF_A_COMPLETION = ("text", "finish_reason", "completion_tokens", "tool_calls", "reasoning")


async def became(trap):
    """What the reply becomes, with the fields that the line may name."""
    body = trap["body"] if isinstance(trap["body"], str) else json.dumps(trap["body"])
    sent = httpx.Response(trap["status"], headers=trap.get("headers"), content=body.encode())
    response, asked = await received(sent), Asked(MAX_TOKENS)
    try:
        if response.status_code != 200:
            raise read_failure(response, asked)
        completion, estimated = read_completion(response, 0.0, asked)
    except RetryLater as error:
        return {"is": error.kind, "after": error.after}
    except ContextLengthExceeded as error:
        return {"is": "context_length", "limit": error.limit}
    except QuestionRefused:
        return {"is": "refused"}
    except EndpointRefused as error:
        kinds = {"refused": "refused_all" if error.holds_for_all else "refused_one", "max_tokens": "refused_max"}
        return {"is": kinds.get(error.kind, error.kind)}
    return {"is": "completion", "estimated": estimated, **{name: getattr(completion, name) for name in OF_A_COMPLETION}}


async def test_every_reply_becomes_what_it_must():
    wrong, traps = [], [json.loads(line) for line in TRAPS.read_text().splitlines()]
    for number, trap in enumerate(traps, 1):
        found = await became(trap)
        expected = {k: v for k, v in trap.items() if k not in ("kind", "status", "headers", "body", "because")}
        got = {name: found.get(name) for name in expected}
        if got != expected:
            wrong.append(f"line {number} ({trap['kind']}, {trap['because']}): {got}, not {expected}")
    assert not wrong, "\n".join(wrong)
    assert len(traps) > 150
