"""Where model-written code runs: one stateful session per trajectory behind bubblewrap (docs/sandbox.md)."""

from records.recipe import SandboxSettings
from sandbox.contract import CellResult, Sandbox, SandboxUnavailable, Session, Usage
from sandbox.description import SandboxDescription, describe_this_machine
from sandbox.local.sandbox import LocalSandbox
from sandbox.walls.isolation import check_isolation, find_layers

__all__ = [
    "CellResult",
    "LocalSandbox",
    "Sandbox",
    "SandboxDescription",
    "SandboxUnavailable",
    "Session",
    "Usage",
    "build_sandbox",
    "check_isolation",
    "check_sandbox",
    "find_layers",
]


def build_sandbox(settings: SandboxSettings) -> Sandbox:
    """The sandbox that a recipe asks for: on this machine, or on the servers it names."""
    if settings.servers:
        from sandbox.http.remote import RemoteSandbox

        return RemoteSandbox(settings)
    return LocalSandbox(settings)


def check_sandbox(settings: SandboxSettings) -> SandboxDescription:
    """What the sandbox of a recipe is, on this machine or on its servers, found by trying it. Blocks for a few seconds.

    Raises:
        SandboxUnavailable: it is not available as the recipe asks for it; no code was run.
    """
    if settings.servers:
        from sandbox.http.remote import check_servers

        return check_servers(settings)
    return describe_this_machine(settings.libraries, check_isolation(settings).names)
