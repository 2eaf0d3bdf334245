"""Where model-written code runs: one stateful session per trajectory behind bubblewrap (docs/sandbox.md)."""

from rollouts.sandbox.bubblewrap import SandboxUnavailable
from rollouts.sandbox.probe import check_isolation
from rollouts.sandbox.session import CellResult, Sandbox, Session

__all__ = ["CellResult", "Sandbox", "SandboxUnavailable", "Session", "check_isolation"]
