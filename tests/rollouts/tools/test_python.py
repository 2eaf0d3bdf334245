"""The Python tool as a rollout uses it."""

import asyncio
import io
import json

import pytest
from PIL import Image

from records.faults import ToolInfrastructureError
from records.images.store import ImageStore
from records.recipe import Recipe
from rollouts.tools import ToolContext, build_tool, tool_names
from sandbox import SandboxUnavailable
from sandbox.walls import bubblewrap

LIMITS = {"cell_timeout_s": 20, "memory_mb": 512}


def recipe(**sandbox) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "test",
            "sources": [{"name": "some", "loader": "some"}],
            "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m"}},
            "selection": [{"to": "rl"}],
            "sandbox": {**LIMITS, **sandbox},
        }
    )


@pytest.fixture
def store(tmp_path) -> ImageStore:
    return ImageStore(str(tmp_path / "images"))


@pytest.fixture
def make(store, tmp_path):
    def made(**sandbox):
        return build_tool("python", ToolContext(recipe=recipe(**sandbox), images=store, data=str(tmp_path)))

    return made


def picture(store: ImageStore, colour: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 4), colour).save(buffer, "PNG")
    return store.put(buffer.getvalue())


async def run(tool, images, cells):
    session = tool.open(images)
    try:
        return [await session.call({"code": cell}) for cell in cells]
    finally:
        await session.close()


def test_it_is_found_by_its_name_and_described(make):
    assert "python" in tool_names()
    tool = make()
    assert tool.name == "python" and tool.parameters["required"] == ["code"]
    assert "image_1" in tool.description and "20 seconds" in tool.description and "numpy" in tool.description
    json.dumps(tool.parameters)


def test_the_version_changes_with_what_could_change_a_result(make, monkeypatch):
    version = make().version
    assert make().version == version
    assert make(sessions=3).version == version
    assert len({version, make(memory_mb=511).version, make(output_chars=10).version}) == 3
    real = __import__("importlib.metadata").metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0" if name == "numpy" else real(name))
    assert make().version != version


async def test_the_text_holds_output_then_value_then_error(make):
    results = await run(
        make(),
        [],
        [
            "print('out')\n40 + 2",
            "x = 1",
            "import sys\nprint('a')\nprint('warned', file=sys.stderr)\n1/0",
            "print('x\\n\\n')",
        ],
    )
    assert (results[0].outcome, results[0].text) == ("ok", "out\n42")
    assert results[1].outcome == "ok" and results[1].text.startswith("(no output") and "print()" in results[1].text
    assert results[2].outcome == "raised"
    assert results[2].text.startswith('a\nwarned\nTraceback (most recent call last):\n  File "<cell 3>", line 4')
    assert results[2].text.endswith("ZeroDivisionError: division by zero")
    assert results[3].text == "x"
    assert all(result.seconds > 0 for result in results)


async def test_images_come_from_the_store_and_go_there(make, store):
    red, blue = picture(store, "red"), picture(store, "blue")
    cells = ["image_1.getpixel((0, 0)), image_2.getpixel((0, 0))", "image_2.resize((40, 30))"]
    results = await run(make(), [red, blue], cells)
    assert results[0].text == "((255, 0, 0), (0, 0, 255))"
    assert results[1].text == "[image of 40x30 pixels]"
    (made,) = results[1].images
    with Image.open(io.BytesIO(store.get(made))) as image:
        assert image.size == (40, 30) and image.getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, '"code"'),
        ({"code": 3}, "not int"),
        ({"code": None}, "not NoneType"),
        ({"code": " \n"}, "empty"),
        ({"code": "1", "language": "python"}, "'language'"),
        ({"code": "x" * 100_001}, "100001"),
        ([], '"code"'),
        ("1", '"code"'),
    ],
)
async def test_a_malformed_call_starts_nothing(make, arguments, word):
    tool = make()
    session = tool.open([])
    result = await session.call(arguments)
    assert result.outcome == "invalid_call" and word in result.text
    assert not tool._sandbox.sessions
    await session.close()


async def test_a_stopped_call_says_so_and_the_session_goes_on(make):
    results = await run(make(cell_timeout_s=2), [], ["x = 1", "print('on')\nwhile True: pass", "x", "2"])
    assert [result.outcome for result in results] == ["ok", "timed_out", "raised", "ok"]
    assert results[1].text.startswith("on\nStopped: the code ran longer than 2 seconds.")


async def test_a_replay_reproduces_texts_and_images(make, store):
    red = picture(store, "red")
    turned = "image_1.resize((60, 40)).rotate(90, expand=True)"
    cells = ["names = {'c', 'a', 'b'}\nprint(names)", turned, "lambda: 0", "{}['k']"]
    tool = make()
    first, second = await run(tool, [red], cells), await run(tool, [red], cells)
    assert [(r.outcome, r.text, r.images) for r in first] == [(r.outcome, r.text, r.images) for r in second]
    assert first[1].images and "0x..." in first[2].text


async def test_rollouts_side_by_side_do_not_mix(make):
    async def rollout(tool, number: int) -> str:
        return (await run(tool, [], [f"mine = {number}", "mine * 10"]))[1].text

    tool = make(sessions=2)
    assert await asyncio.gather(*(rollout(tool, n) for n in range(6))) == [str(n * 10) for n in range(6)]


async def test_faults_of_ours_are_raised(make, store, monkeypatch):
    tool = make()
    session = tool.open(["0" * 64])
    with pytest.raises(ToolInfrastructureError, match="cannot be read"):
        await session.call({"code": "1"})
    await session.close()
    session = tool.open([picture(store, "red")])

    def full(data):
        raise OSError("no space left")

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(ToolInfrastructureError, match="no space left"):
        await session.call({"code": "image_1.resize((40, 30))"})
    with pytest.raises(ToolInfrastructureError, match="closed"):
        await session.call({"code": "1"})
    assert not tool._sandbox.sessions


def test_without_isolation_the_tool_is_not_built(make, monkeypatch):
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [])
    with pytest.raises(SandboxUnavailable, match="none is run"):
        make()
