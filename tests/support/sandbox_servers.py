"""Sandbox servers for tests: in a thread of this process, in a process that can be killed, and one that lies."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from records.recipe import SandboxSettings
from sandbox import LocalSandbox
from sandbox.description import SandboxDescription
from sandbox.http import wire
from sandbox.http.server import build_app

TOKEN = "the-token-of-the-tests"
LIBRARIES = ["numpy", "PIL"]
DESCRIPTION = SandboxDescription(
    "1", ("namespaces", "no_network", "no_capabilities", "rlimits", "seccomp"), "3", {"numpy": "2"}
)
PROGRAM = """
import json, os, sys
from records.recipe import SandboxSettings
from sandbox.http.server import ServerAddress, serve
serve(SandboxSettings(**json.loads(sys.argv[1])), os.environ["TOUCHSTONE_SANDBOX_TOKEN"],
      ServerAddress(port=0, **json.loads(sys.argv[2])))
"""


def settings(*servers: str, **more: Any) -> SandboxSettings:
    return SandboxSettings(**{"libraries": LIBRARIES, "servers": list(servers), **more})


LIMITS = settings(cell_timeout_s=20, sessions=2)


class Client(httpx.Client):
    """A client that knows the token."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        super().__init__(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120, trust_env=False)

    def sessions(self) -> dict[str, int]:
        return self.get("/v1/status").json()["sessions"]

    def wait_for(self, **wanted: int) -> None:
        """Wait until the server has this many sessions. Fails after two minutes."""
        deadline = time.monotonic() + 120
        while not wanted.items() <= (now := self.sessions()).items():
            assert time.monotonic() < deadline, now
            time.sleep(0.02)


class ThreadServer:
    """The API over a real uvicorn, in a thread."""

    def __init__(
        self,
        limits: SandboxSettings,
        make: Any = LocalSandbox,
        description: SandboxDescription = DESCRIPTION,
        **more: Any,
    ) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        app = build_app(make, limits, description, TOKEN, **more)
        config = uvicorn.Config(app, http="h11", ws="none", log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        self.client = Client(self.url)

    def stop(self) -> None:
        """Stopping twice is fine."""
        self.client.close()
        self._server.should_exit = True
        self._thread.join(120)
        self._socket.close()
        assert not self._thread.is_alive()


class ServerProcess:
    """`serve` in a process of its own."""

    def __init__(self, limits: SandboxSettings, **address: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, limits.model_dump_json(), json.dumps(address)],
            env={
                **os.environ,
                "TOUCHSTONE_SANDBOX_TOKEN": TOKEN,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert "://" in line, "the server did not come up"
        self.url = line.split()[2].rstrip(",")
        self.client = Client(self.url)

    def descendants(self) -> list[int]:
        """The processes below it; each is above its own children in the list."""
        found = [self.process.pid]
        for pid in found:
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += map(int, path.read_text().split())
        return found[1:]

    @staticmethod
    def gone(pids: list[int]) -> None:
        """Wait until none of these processes is left. Fails after two minutes."""
        deadline = time.monotonic() + 120
        while alive := [pid for pid in pids if os.path.exists(f"/proc/{pid}")]:
            assert time.monotonic() < deadline, alive
            time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it with SIGTERM, if it still runs; its exit status."""
        self.client.close()
        self.process.terminate()
        try:
            return self.process.wait(120)
        finally:
            self.kill()
            self.process.stdout.close()


class Liar:
    """A server that says what a test wants: `answers` holds (status, headers, body) by the path's end, or `open`."""

    def __init__(self, **answers: tuple[int, dict[str, str], bytes]) -> None:
        status = {
            "api": wire.API,
            "version": "1",
            "layers": DESCRIPTION.layers,
            "python": "3",
            "libraries": {},
            "limits": {},
        }
        load = {"sessions": {"open": 0, "waiting": 0, "capacity": 8}}
        opened = {"state": "open", "version": "1", "layers": DESCRIPTION.layers, **load}
        self.answers = {"status": self.json({**status, **load}), "open": self.json(opened), **answers}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                name = "open" if self.command == "PUT" else self.path.rpartition("/")[2]
                outer.asked.append(f"{self.command} {self.path}")
                status, headers, body = outer.answers.get(name, outer.json({"sessions": load["sessions"]}))
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for key, value in {"Content-Length": str(len(body)), **headers}.items():
                        self.send_header(key, value)
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @staticmethod
    def json(value: Any, status: int = 200) -> tuple[int, dict[str, str], bytes]:
        return status, {"Content-Type": "application/json"}, json.dumps(value).encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Wire:
    """A TCP connection on its way to a server: `cut()` breaks it when the next answer comes, and keeps the answer."""

    def __init__(self, port: int) -> None:
        self._target, self._cut = port, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut.set()

    def lead_to(self, port: int) -> None:
        """Another server, from now on."""
        self._target = port

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_answer and self._cut.is_set():
                    self._cut.clear()
                    self.cuts += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def stop(self) -> None:
        self._listener.close()


def opened(client: Client, files=None, limits=None) -> str:
    files = files or {}
    body = wire.pack_opening([], files, limits) if limits else wire.pack({"files": list(files)}, [*files.values()])
    answer = client.post("/v1/sessions", content=body, headers={"Content-Type": wire.FRAME})
    path = f"/v1/sessions/{answer.json().get('session')}"
    assert answer.status_code in (200, 202), answer.text
    return until_open(client, path)


def until_open(client: Client, path: str) -> str:
    deadline = time.monotonic() + 120
    while (answer := client.get(path)).status_code == 202:
        assert time.monotonic() < deadline
    assert answer.json()["state"] == "open"
    return path


def asked(client: Client, session: str, cell: int, code: str) -> httpx.Response:
    return client.post(f"{session}/cells", json={"cell": cell, "code": code})


def run(client: Client, session: str, cell: int, code: str) -> dict:
    answer = asked(client, session, cell, code)
    assert answer.status_code == 200, answer.text
    return wire.unpack(answer.content)[0]


def raw(url: str, *parts: bytes) -> bytes:
    """What comes back over a bare connection until the server closes it."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
        data = b""
        while more := connection.recv(1 << 16):
            data += more
        return data
