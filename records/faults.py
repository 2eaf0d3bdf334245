"""Faults that are nobody's answer: what they interrupt stays unfinished and is never judged."""


class ToolInfrastructureError(RuntimeError):
    """A tool that failed by itself; the failure says nothing about the model that called it."""
