"""Which stored outcomes still stand, of those that say something about a server beside the question.

A prompt that did not fit is an outcome of its question only as long as the server's context is as long as it was then.
So such a rollout is stored with that length, at the beginning of its `error_class`, and stands where the length is the
same now; where a server does not say it, the outcome stands for the run that made it and is asked for again in the next
one. What earlier versions stored without saying why (any passing state of a server: its maintenance page, a limit on
the size of a request) stands nowhere: it is made again, over the calls that were stored before it.
"""

import uuid
from collections.abc import Callable

import polars as pl

from records.trajectory import Rollout

OF_THE_SERVER = ("context_length", "malformed_reply")
"""Stop reasons that earlier versions stored without a word about why."""
COLUMNS = ("stop_reason", "error_class")
"""The columns that say whether a stored rollout stands."""
GIVES_WAY = pl.col("stop_reason").is_in(OF_THE_SERVER)
"""A row that gives way to another of the same rollout, which was made when this one did not stand."""
_OLD_FAILURE = '{"failure"'
"""How the stored value of a call begins for which earlier versions kept a failure."""


def is_old_failure(value: str) -> bool:
    """Whether the stored value of a call is a failure, which is not to be read again."""
    return value.startswith(_OLD_FAILURE)


class Outcomes:
    """Stamps and recognises the outcomes that depend on a server.

    Args:
        context: gives the tokens of the server's context, None where it does not say; asked for when it is needed.
    """

    def __init__(self, context: Callable[[], int | None] = lambda: None) -> None:
        self._context = context
        self._prefix = ""
        self._run = uuid.uuid4().hex[:8]

    @property
    def prefix(self) -> str:
        """How the `error_class` of a prompt that does not fit begins, here and now."""
        if not self._prefix:
            tokens = self._context()
            where = f"a context of {tokens} tokens" if tokens else f"a context of unknown length (run {self._run})"
            self._prefix = f"{where}: "
        return self._prefix

    def stamped(self, rollout: Rollout) -> Rollout:
        """The rollout as it is stored."""
        why = rollout.error_class
        if rollout.stop_reason == "context_length":
            why = self.prefix + (why or "it ended the reply before its tokens were used up")
        elif rollout.stop_reason == "malformed_reply":
            why = why or "the reply could not be read"
        return rollout if why == rollout.error_class else rollout.model_copy(update={"error_class": why})

    def standing(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of the rows (COLUMNS among theirs) that stand."""
        of_server = GIVES_WAY
        told = pl.col("error_class").fill_null("") != ""
        prompts = pl.col("stop_reason") == "context_length"
        if rows.filter(prompts & told).is_empty():  # without asking the server
            return rows.filter(~of_server | told)
        return rows.filter(~of_server | (told & (~prompts | pl.col("error_class").str.starts_with(self.prefix))))
