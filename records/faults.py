"""Faults that are nobody's answer: what they interrupt stays unfinished, or is begun anew, and is never judged."""


class ToolInfrastructureError(RuntimeError):
    """A tool that failed by itself; the failure says nothing about the model that called it."""


class NotRepeatable(RuntimeError):
    """A call that was made again, to bring back a session's state, and gave another result than the model has read."""
