"""What a call's failure means, seen beside what else the endpoint is asked and how it answers that."""

import asyncio
from collections.abc import Awaitable, Callable

from rollouts.models.contract import ContextLengthExceeded, QuestionRefused, Request
from rollouts.models.replies import EndpointFailing, EndpointRefused

Failure = EndpointRefused | EndpointFailing | QuestionRefused | ContextLengthExceeded
OF_THE_QUESTION = (403, 451)
"""HTTP statuses that are about what was asked, where the smallest request gets an answer with the same key: a firewall
in front of a server takes the code in a prompt for an attack."""


async def meaning(
    error: Failure,
    request: Request,
    context: Callable[[], int | None],
    ever_answered: bool,
    answers: Callable[[], Awaitable[bool]],
) -> Failure:
    """The failure as what it is.

    A refusal is about the question where others are answered, and may be about everything where none ever was. A prompt
    does not fit for its own length, or because max_tokens alone leaves no room for any.

    Args:
        context: gives the tokens of the server's context, None where it does not say; may ask the server.
        ever_answered: whether the endpoint has answered any call.
        answers: asks the endpoint the smallest request, and says whether it is answered now.
    """
    if isinstance(error, ContextLengthExceeded):
        limit = await asyncio.to_thread(context) or error.limit
        if limit is not None and request.max_tokens >= limit:
            return EndpointRefused(
                f"max_tokens is {request.max_tokens}, where prompt and reply together may have {limit} tokens: {error}",
                0, True, "max_tokens",
            )  # fmt: skip
        return ContextLengthExceeded(str(error), limit)
    if isinstance(error, QuestionRefused):
        return error if ever_answered or await answers() else EndpointRefused(str(error), 0, holds_for_all=False)
    if isinstance(error, EndpointRefused) and error.status in OF_THE_QUESTION and await answers():
        return QuestionRefused(str(error))
    return error
