"""Sessions that once went wrong (tests/traps/cells.jsonl): what the model reads of each cell, and reads again.

A line has `cells`, and for each cell what to `expect` of it: its `outcome`; its whole `text`, or parts that it `has`
and `lacks`; the number of `images`, or their `sizes`; their `modes`, the `pixel` in the corner of the first, and
whether all `differ`. `image` is the size of the question's image, `needs` a library without which the line is left out.
"""

import asyncio
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from records.images.store import ImageStore
from records.recipe import SandboxSettings
from records.trajectory import ToolResult
from rollouts.tools.python import PythonSession
from sandbox import LocalSandbox

TRAPS = Path(__file__).parents[1] / "traps" / "cells.jsonl"
SETTINGS = SandboxSettings(cell_timeout_s=60, cells=4)


async def results(line: dict[str, Any], sandbox: LocalSandbox, store: ImageStore) -> list[ToolResult]:
    images = []
    if size := line.get("image"):
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, "PNG")
        images = [store.put(buffer.getvalue())]
    session = PythonSession(sandbox, SETTINGS, store, images, seed=13)
    try:
        return [await session.call({"code": cell}) for cell in line["cells"]]
    finally:
        await session.close()


def wrong(result: ToolResult, want: dict[str, Any], store: ImageStore) -> list[str]:
    """What is not as expected of one cell."""
    shown = [Image.open(io.BytesIO(store.get(image))) for image in result.images]
    found: dict[str, Any] = {
        "outcome": result.outcome,
        "text": result.text,
        "images": len(shown),
        "sizes": [list(image.size) for image in shown],
        "modes": [image.mode for image in shown],
        "differ": len(set(result.images)) == len(shown),
    }
    if shown:
        corner = shown[0].getpixel((0, 0))
        found["pixel"] = list(corner) if isinstance(corner, tuple) else corner
    faults = [f"{name} {found.get(name)!r}, not {want[name]!r}" for name in want.keys() - {"has", "lacks"}
              if found.get(name) != want[name]]  # fmt: skip
    faults += [f"no {part!r} in {result.text!r}" for part in want.get("has", []) if part not in result.text]
    return faults + [f"{part!r} in {result.text!r}" for part in want.get("lacks", []) if part in result.text]


async def test_each_session_reads_as_it_should_and_reads_so_again(tmp_path):
    store, sandbox = ImageStore(str(tmp_path)), LocalSandbox(SETTINGS)
    lines = [json.loads(text) for text in TRAPS.read_text().splitlines()]
    possible = [line for line in lines if not line.get("needs") or importlib.util.find_spec(line["needs"])]
    twice = [line for line in possible if line["kind"] == "B3"]
    found_now = await asyncio.gather(*(results(line, sandbox, store) for line in [*possible, *twice]))
    await sandbox.close()
    repeated = iter(found_now[len(possible) :])
    faults = []
    for line, first in zip(possible, found_now, strict=False):
        again = next(repeated) if line in twice else first
        assert len(line["expect"]) == len(first) and line["because"]
        found = [fault for pair in zip(first, line["expect"], strict=True) for fault in wrong(*pair, store)]
        found += [f"{a.text!r} became {b.text!r}" for a, b in zip(first, again, strict=True) if not a.reads_like(b)]
        faults += [f"{line['kind']}, {line['because']}: {fault}" for fault in found]
    assert not faults, "\n".join(faults)
    assert len(lines) >= 40 and {line["kind"] for line in lines} >= {"B1", "B2", "B3", "F11", "F12"}
