"""What a session has run, so that it can be rebuilt on a fresh worker after a fault of ours."""

from rollouts.sandbox.contract import CellResult


class History:
    """The cells since the session's state last began, with what they gave."""

    def __init__(self) -> None:
        self._cells: list[tuple[str, CellResult]] = []

    def record(self, code: str, result: CellResult) -> None:
        """A cell has run. One that lost the state takes those before it along."""
        if result.state_lost:
            self._cells.clear()
        else:
            self._cells.append((code, result))

    def cells(self) -> list[tuple[str, CellResult]]:
        """The cells to run again, in order, each with the result it has to give again."""
        return list(self._cells)

    @staticmethod
    def matches(before: CellResult, again: CellResult) -> bool:
        """Whether a cell did the same: the model has read its first result, and goes on from there."""
        return all(
            getattr(before, name) == getattr(again, name)
            for name in ("outcome", "stdout", "stderr", "value", "error", "images", "notes", "state_lost")
        )
