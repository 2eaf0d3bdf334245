"""The sandbox behind HTTP, for clients on other machines (docs/sandbox-server.md)."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from records.recipe import SandboxSettings
from sandbox.contract import Sandbox, SandboxUnavailable
from sandbox.description import SandboxDescription, describe_this_machine
from sandbox.http import wire
from sandbox.http.api import HOLD_S, Api, Door, Refusal, refused
from sandbox.http.server_sessions import WrongCell
from sandbox.local.sandbox import LocalSandbox

_log = logging.getLogger(__name__)

KEEP_S = 75
"""How many seconds an idle connection is kept, to be used again."""
STOP_S = 5
"""How many seconds requests under way get to end when the server is told to stop."""


def build_app(
    make: Callable[[SandboxSettings], Sandbox],
    settings: SandboxSettings,
    description: SandboxDescription,
    token: str,
    idle_s: float = 600.0,
    hold_s: float = HOLD_S,
) -> Starlette:
    """The API as an ASGI application.

    Args:
        make: builds a sandbox on this machine with the limits it gets, which are never above `settings`.
        settings: the most that a client may ask for, and how many sessions are open and cells run at once.
        description: what clients are told about this machine.
        token: what clients have to send; `wire.check_token` says what is accepted.
        idle_s: after how many seconds a session that nobody asks for is ended.
        hold_s: after how many seconds a request that still waits is answered 202.
    """
    api = Api(make, settings, description, idle_s, hold_s)
    routes = [
        Route("/v1/status", api.status, methods=["GET"]),
        Route("/v1/sessions", api.open, methods=["POST"]),
        Route("/v1/sessions/{session}", api.open, methods=["PUT"]),
        Route("/v1/sessions/{session}", api.opened, methods=["GET"]),
        Route("/v1/sessions/{session}", api.close, methods=["DELETE"]),
        Route("/v1/sessions/{session}/cells", api.cell, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Door, token=wire.check_token(token))],
        exception_handlers=dict.fromkeys([Refusal, wire.Malformed, WrongCell], refused),
        lifespan=api.lifespan,
    )


class TlsArguments(TypedDict, total=False):
    """The arguments of uvicorn for https."""

    ssl_certfile: str
    ssl_keyfile: str | None


@dataclass(frozen=True)
class ServerAddress:
    """The address of a server, and its certificate for https."""

    host: str = "127.0.0.1"
    """The address to listen on; only this machine can reach the default."""
    port: int = 8717
    """The TCP port; 0 is any that is free."""
    certificate: str | None = None
    """A PEM file with the certificate and its chain, for https. Without it the token goes over the network readable."""
    key: str | None = None
    """A PEM file with the certificate's key, if that is not in the same file."""

    @property
    def tls(self) -> TlsArguments:
        """The arguments of uvicorn for https; empty for http."""
        return {"ssl_certfile": self.certificate, "ssl_keyfile": self.key} if self.certificate else {}

    def listen(self) -> socket.socket:
        """A socket that listens there. Raises OSError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        if not self.tls:
            found = socket.getaddrinfo(self.host, self.port, family)[0][4][0]
            if not ipaddress.ip_address(found).is_loopback:
                _log.warning("sandbox server: without a certificate, the token and all code are sent unencrypted")
        return socket.create_server((self.host, self.port), family=family, backlog=1024)


LOCAL_ADDRESS = ServerAddress()
"""The default address, which only this machine can reach."""


async def _serve(
    settings: SandboxSettings, listener: socket.socket, token: str, tls: TlsArguments, idle_s: float
) -> None:
    sandbox = LocalSandbox(settings)
    layers = (await sandbox.layers()).names
    async with await sandbox.open() as session:  # a machine that cannot run code must not say that it can
        first = await session.run("")
    if first.outcome != "ok":
        raise SandboxUnavailable(f"sandbox: the first session failed: {first.error}")
    config = uvicorn.Config(
        build_app(LocalSandbox, settings, describe_this_machine(settings.libraries, layers), token, idle_s),
        http="h11",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,  # a session's id is in its path
        server_header=False,
        timeout_keep_alive=KEEP_S,
        timeout_graceful_shutdown=STOP_S,
        **tls,
    )
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print(f"sandbox server: {'https' if tls else 'http'}://{address}, {settings.sessions} sessions", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


def serve(settings: SandboxSettings, token: str, address: ServerAddress = LOCAL_ADDRESS, idle_s: float = 600.0) -> None:
    """Serve this machine's sandbox until SIGINT or SIGTERM. Prints its URL when it is ready.

    Args:
        settings: the most that a client may ask for, and how many sessions are open at once; `servers` is not used.
        token: see `build_app`.
        address: where to listen.
        idle_s: see `build_app`.

    Raises:
        SandboxUnavailable: this machine cannot isolate code, or the token is not accepted.
        OSError: the address is not available, or the certificate cannot be read.
    """
    wire.check_token(token)
    with address.listen() as listener:
        # uvicorn stops by itself, and then repeats the signal, which would end us before our own clean-up.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(settings, listener, token, address.tls, idle_s))
