"""How long the steps of a session take, beside the peers' and over a server, in turns within one run."""

import asyncio
import contextlib
import io
import os
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.sandbox import peers
from benchmarks.sandbox.peers import Kernel, fresh
from records.recipe import SandboxSettings
from sandbox import Sandbox, build_sandbox
from sandbox.http import wire

MODULES = ("numpy", "PIL.Image", "matplotlib.pyplot", "sympy", "scipy", "pandas")
"""What our sessions have imported."""
FIGURE = "plt.figure(figsize=(6, 4)); plt.plot([n * n for n in range(100)]); plt.title('squares');"
"""A cell that draws a figure."""
CROP = "image_1.crop((500, 400, 1500, 1200))"
"""A cell that crops the photograph."""
CROP_SIZE = (1000, 800)
"""The width and height of the crop in pixels."""
PHOTO_SIZE = (2000, 1500)
"""The width and height of the photograph in pixels."""
AT_ONCE = 8
"""How many sessions run at once when a crowd is measured."""
SERVE = """
import sys
from records.recipe import SandboxSettings
from sandbox.http import server, wire
settings = SandboxSettings.model_validate_json(sys.argv[1])
server.serve(settings, wire.token_from_environment(), server.ServerAddress(port=0))
"""
"""The program of a server on this machine."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    crowds: int
    """Rounds with several at once."""
    one_after_another: int
    open_at_once: int
    limits: int
    """Cells that run into the limit, of each kind, in each company."""
    neighbours: int
    """Cells with work to do, after each of them."""


class StepTimes:
    """How many seconds each step took, by its name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name].append(time.perf_counter() - start)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def report(self) -> dict[str, dict[str, float]]:
        return {name: spread(values) for name, values in self.seconds.items()}


def spread(seconds: list[float]) -> dict[str, float]:
    p95 = float(np.quantile(seconds, 0.95))
    return {"median_ms": ms(statistics.median(seconds)), "p95_ms": ms(p95), "count": len(seconds)}


def ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def expect(value: object, wanted: object) -> None:
    if value != wanted:
        raise RuntimeError(f"a cell answered {value!r} where {wanted!r} is right")


async def our_session(sandbox: Sandbox, clock: StepTimes, name: str = "ours") -> None:
    """Open, a trivial cell, close."""
    with clock(f"{name}: session"):
        with clock(f"{name}: open"):
            session = await sandbox.open()
        with clock(f"{name}: first cell"):
            expect((await session.run("1 + 1")).value, "2")
        with clock(f"{name}: close"):
            await session.close()


async def kernel_session(clock: StepTimes, name: str, modules: tuple[str, ...] = (), cells: int = 0) -> None:
    """Start until the kernel answers, the imports if any, a trivial cell, close; then the cell again and again."""
    start = time.perf_counter()
    async with Kernel.opened() as kernel:
        if modules:
            expect((await kernel.run(peers.imports(modules))).error, "")
        ready = time.perf_counter() - start if modules else kernel.ready_s
        with clock(f"{name}: first cell"):
            expect((await kernel.run("1 + 1")).value, "2")
        passed = time.perf_counter() - start
        for _ in range(cells):
            with clock(f"{name}: cell"):
                await kernel.run("1 + 1")
        start = time.perf_counter()
    clock.seconds[f"{name}: open"].append(ready)
    clock.seconds[f"{name}: session"].append(passed + time.perf_counter() - start)


async def fresh_call(clock: StepTimes, name: str, modules: tuple[str, ...] = ()) -> None:
    with clock(f"{name}: session"):
        expect((await fresh("print(1 + 1)", modules)).strip(), "2")


async def rate(count: int, one: Callable[[], Awaitable[None]]) -> float:
    """How many per second, eight at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated() -> None:
        async with gate:
            await one()

    start = time.perf_counter()
    await asyncio.gather(*(gated() for _ in range(count)))
    return count / (time.perf_counter() - start)


async def sessions(sandbox: Sandbox, size: Size) -> tuple[StepTimes, dict[str, dict[str, float]]]:
    """Ours and the peers in turns: how long each step takes, and sessions per second, in a row and eight at once."""
    clock, crowd, apart = StepTimes(), defaultdict(list), StepTimes()
    contenders = {
        "ours": (5 * AT_ONCE, lambda: our_session(sandbox, clock, "ours, eight at once")),
        "ipykernel": (AT_ONCE, lambda: kernel_session(apart, "")),
        "ipykernel with libraries": (AT_ONCE, lambda: kernel_session(apart, "", MODULES)),
        "fresh python": (3 * AT_ONCE, lambda: fresh_call(apart, "")),
        "fresh python with libraries": (AT_ONCE, lambda: fresh_call(apart, "", MODULES)),
    }
    for number in range(size.rounds):
        for _ in range(25):
            await our_session(sandbox, clock)
        async with await sandbox.open() as session:
            for _ in range(25):
                with clock("ours: cell"):
                    await session.run("1 + 1")
        await kernel_session(clock, "ipykernel", cells=25)
        await kernel_session(clock, "ipykernel with libraries", MODULES, cells=25)
        for _ in range(5):
            await fresh_call(clock, "fresh python")
        await fresh_call(clock, "fresh python with libraries", MODULES)
        if number < size.crowds:
            for name in list(contenders)[1:]:
                for who in ("ours", name):
                    crowd[who].append(await rate(*contenders[who]))
    rates = {}
    for name in contenders:
        taken = clock.seconds[f"{name}: session"]
        rates[name] = {
            "in_a_row": round(len(taken) / sum(taken), 2),
            "eight_at_once": round(statistics.median(crowd[name]), 2),
        }
    return clock, rates


def photo() -> bytes:
    """A JPEG file of a large photograph's size and grain."""
    width, height = PHOTO_SIZE
    across, down = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    smooth = 128 + 80 * np.stack([np.sin(across + down), np.cos(2 * across), np.sin(3 * down)], axis=-1)
    grain = np.random.default_rng(0).normal(0, 6, smooth.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


async def pictures(sandbox: Sandbox, size: Size) -> dict[str, dict[str, float]]:
    """A cell with a figure and one with a crop of a photograph not decoded yet, each with the image that comes back."""
    clock, data = StepTimes(), photo()

    def one_image(images: list[bytes], wanted: tuple[int, int] | None = None) -> None:
        expect(len(images), 1)
        expect(Image.open(io.BytesIO(images[0])).size, wanted or Image.open(io.BytesIO(images[0])).size)

    async with Kernel.opened() as kernel:
        (kernel.folder / "photo.jpg").write_bytes(data)
        begin = f"{peers.imports(MODULES)}%matplotlib inline\nfrom matplotlib import pyplot as plt\n{FIGURE}"
        expect((await kernel.run(begin)).error, "")
        for _ in range(size.rounds):
            with clock("ours: open with the photograph"):
                session = await sandbox.open([data])
            await session.run("from matplotlib import pyplot as plt")
            with clock("ours: figure"):
                one_image((await session.run(FIGURE)).images)
            with clock("ours: crop"):
                one_image((await session.run(CROP)).images, CROP_SIZE)
            await session.close()
            with clock("ipykernel: figure"):
                one_image((await kernel.run(FIGURE)).images)
            await kernel.run(f"image_1 = PIL.Image.open('{peers.SHARED}/photo.jpg')")
            with clock("ipykernel: crop"):
                one_image((await kernel.run(CROP)).images, CROP_SIZE)
    return clock.report()


@contextlib.asynccontextmanager
async def served(settings: SandboxSettings) -> AsyncIterator[Sandbox]:
    """The sandbox of a server on this machine, in a process of its own."""
    os.environ[wire.TOKEN_VARIABLE] = secrets.token_urlsafe(24)
    line = [sys.executable, "-c", SERVE, settings.model_dump_json()]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    output = process.stdout
    assert output is not None  # a pipe
    try:
        said = await asyncio.to_thread(output.readline)
        url = re.search(r"http://[^\s,]+", said)
        if url is None:
            raise RuntimeError(f"the sandbox server did not start; it said {said!r}")
        sandbox = build_sandbox(settings.model_copy(update={"servers": [url.group()]}))
        yield sandbox
        await sandbox.close()
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
        output.close()


async def over_http(sandbox: Sandbox, settings: SandboxSettings, size: Size) -> dict[str, dict[str, float]]:
    """The same steps here and over the server, in turns."""
    clock = StepTimes()
    noise = np.random.default_rng(0).integers(0, 256, (1170, 1170, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file := io.BytesIO(), "PNG")
    async with served(settings) as remote:
        await (await remote.open()).close()
        for _ in range(size.rounds):
            for name, where in (("here", sandbox), ("server", remote)):
                for _ in range(5):
                    await our_session(where, clock, name)
                async with await where.open() as session:
                    for _ in range(10):
                        with clock(f"{name}: cell"):
                            await session.run("1 + 1")
                with clock(f"{name}: open with an image of 4 MB"):
                    session = await where.open([file.getvalue()])
                expect((await session.run("image_1.width")).value, "1170")
                await session.close()
    return clock.report()
