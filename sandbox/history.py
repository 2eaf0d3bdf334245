"""What a session has run, so that it can be rebuilt on a fresh worker after a fault of ours."""

import hashlib

from records.identity import content_hash
from sandbox.contract import CellResult

READ = ("outcome", "stdout", "stderr", "value", "error", "notes", "state_lost")
"""The fields of a result that the model reads, beside the images."""


def _mark(result: CellResult) -> str:
    """What the model read of a cell, as a hash: images are large, and sessions long."""
    images = [hashlib.sha256(png).hexdigest() for png in result.images]
    return content_hash([*(getattr(result, name) for name in READ), images])


class History:
    """The cells since the session's state was last empty, with their results."""

    def __init__(self) -> None:
        self._cells: list[tuple[str, str]] = []

    def record(self, code: str, result: CellResult) -> None:
        """Note that a cell has run. A cell that lost the state removes those before it as well."""
        if result.state_lost:
            self._cells.clear()
        else:
            self._cells.append((code, _mark(result)))

    def cells(self) -> list[tuple[str, str]]:
        """The cells to run again, in order, each with the mark of the result that it has to repeat."""
        return list(self._cells)

    @staticmethod
    def matches(before: str, again: CellResult) -> bool:
        """Whether a cell did the same: the model has read its first result and builds on it."""
        return before == _mark(again)
