"""A sandbox on servers is used like one on this machine."""

import io
import json

from PIL import Image

from sandbox import LocalSandbox, build_sandbox
from sandbox.http.remote import RemoteSandbox
from tests.support.sandbox_servers import (
    ThreadServer,
    settings,
)

NOWHERE = "http://127.0.0.1:1"


def blob(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_recipe_that_names_servers_gets_them():
    assert isinstance(build_sandbox(settings(NOWHERE)), RemoteSandbox)


async def test_the_agent_does_not_see_the_difference(start):
    """The same cells, here and there: the same results, but for the time they took."""
    url = start(ThreadServer, settings()).url
    cells = ["x = [1]\nx", "print(x)\n1 / 0", "image_1", "import sys\nsys.exit(3)", "def f(:", "while True: pass", "x"]
    results = []
    for sandbox in (LocalSandbox(settings(cell_timeout_s=2)), RemoteSandbox(settings(url, cell_timeout_s=2))):
        async with await sandbox.open([blob(3, 4)]) as session:
            ran = [await session.run(code) for code in cells]
        results.append([json.dumps({**vars(result), "usage": 0}, default=repr) for result in ran])
        await sandbox.close()
    assert results[0] == results[1]
