"""A sandbox server as a process of its own."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from sandbox import LocalSandbox, SandboxUnavailable
from sandbox.description import SandboxDescription
from sandbox.http import server
from tests.support.sandbox_servers import LIMITS, TOKEN, ServerProcess, asked, opened, run, settings


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "a token with spaces in it", "é" * 20, "x" * 20 + "\n"])
def test_a_token_that_will_not_do_is_refused(token):
    with pytest.raises(SandboxUnavailable, match="TOUCHSTONE_SANDBOX_TOKEN"):
        server.build_app(LocalSandbox, LIMITS, SandboxDescription("1"), token)
    with pytest.raises(SandboxUnavailable, match="TOUCHSTONE_SANDBOX_TOKEN"):
        server.serve(LIMITS, token, server.ServerAddress(port=0))


def test_the_example_of_the_documentation_runs(serve, tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[3] / "docs/sandbox-server.md").read_text()
    code = re.search("```python\n(.*?)```", text, re.DOTALL)[1]
    assert "http://127.0.0.1:8717" in code
    Image.new("RGB", (7, 5)).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://127.0.0.1:8717", serve(hold_s=0.2).url), {"token": TOKEN})
    assert capsys.readouterr().out == "(7, 5)\n"


def test_a_server_that_is_told_to_stop_leaves_nothing_behind():
    running = ServerProcess(settings(cell_timeout_s=600))
    try:
        session = opened(running.client)
        run(running.client, session, 1, "import subprocess\np = subprocess.Popen(['sleep', '600'])")
        below = running.descendants()
        assert len(below) >= 4  # bubblewrap, the fork server, the session, its child
        with ThreadPoolExecutor() as pool:
            pool.submit(lambda: asked(running.client, session, 2, "while True: pass"))
            time.sleep(0.5)
            began = time.monotonic()
            assert running.stop() == 0
        assert time.monotonic() - began < 120  # and does not wait for the cell
    finally:
        running.kill()
    running.gone(below)
