"""Where model-written code runs: one stateful session per trajectory behind bubblewrap (docs/sandbox.md)."""

from records.recipe import Sandbox as Settings
from rollouts.sandbox.contract import CellResult, Sandbox, SandboxUnavailable, Session, Usage
from rollouts.sandbox.layers import check_isolation, find_layers
from rollouts.sandbox.local import LocalSandbox

__all__ = [
    "CellResult",
    "LocalSandbox",
    "Sandbox",
    "SandboxUnavailable",
    "Session",
    "Usage",
    "build_sandbox",
    "check_isolation",
    "find_layers",
]


def build_sandbox(settings: Settings) -> Sandbox:
    """The sandbox that a recipe asks for: on this machine, or on the servers it names."""
    if settings.servers:
        from rollouts.sandbox.remote import RemoteSandbox

        return RemoteSandbox(settings)
    return LocalSandbox(settings)
