"""What a faster model server brings on a CPU: `python -m benchmarks.server_settings`.

The requests of the demo's tools arm (but for search), as many at once as in the demo, by settings of the server, each
with one thing more than the one before; and, by vLLM's own, in the order they came, shuffled, and ordered by shared
prefix. All within one run, so that the rates can be compared; rates count written tokens. The requests are asked with
the demo's temperature for the rate, and greedily to compare what is written: a setting that changes the arithmetic
changes some words, and so does the way that requests happen to meet in a batch (the first row compares the same setting
with itself).

Needs the demo's model (`make model`); about a quarter of an hour on two cores, with nothing beside it. Prints a table;
the last line is one JSON object.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import polars as pl
import yaml

from benchmarks.rollout_throughput import through_pipeline
from measurement import arms
from pipelines.recipe_file import recipe_path
from records.question import Question
from records.workspace import Workspace
from reports.samples import markdown_table
from rollouts.models.local_server import LocalServer
from rollouts.models.on_cpu import faster_allocator, faster_threads
from rollouts.models.roles import Models
from sources.open import load_source

PLACES = 32
MOST = 160
"""Tokens per reply."""


class ServerSetting(NamedTuple):
    """One way to run the server: by itself as vLLM runs it; each of the others adds something."""

    name: str
    one_process: bool = False
    threads: bool = False
    allocator: bool = False
    compiled: bool = False


SETTINGS = (
    ServerSetting("vLLM's own"),
    ServerSetting("worker in the engine's process", True),
    ServerSetting("and Intel OpenMP", True, True),
    ServerSetting("and tcmalloc", True, True, True),
    ServerSetting("and compiled", True, True, True, True),
)


def demo_without_search(root: Path) -> Workspace:
    """A workspace with the demo's recipe, without the source whose tool needs an index."""
    values = yaml.safe_load(recipe_path().read_text())
    values["sources"] = [source for source in values["sources"] if source["name"] != "world_factbook"]
    (root / "recipe.yaml").write_text(yaml.safe_dump(values))
    return Workspace(recipe_file=str(root / "recipe.yaml"), data=str(root / "data"))


def recorded_requests(place: Workspace, models: Models) -> list[dict[str, Any]]:
    """The requests of one attempt at each question, in the order they were made, that of the demo's tools arm."""
    loaded = [load_source(source, place.recipe.seed, place.images) for source in place.recipe.sources]
    questions = [row for rows in loaded for row in rows if isinstance(row, Question)]
    arm, model = arms.tools_arm(place.recipe), models.completer("policy")
    _, requests = asyncio.run(through_pipeline(place, arm, model, questions, 0, every_token=False))
    return [request["messages"] for request in requests]


@contextmanager
def server(place: Workspace, models: Models, setting: ServerSetting, cache: Path) -> Iterator[tuple[str, float]]:
    """A server by a setting: its address, and the seconds it took to start. `cache`: what it compiled before."""
    serve = place.recipe.models.policy.serve.model_copy(update={"enforce_eager": not setting.compiled})
    one = LocalServer(models.files("policy"), serve, place.folder("logs") / "settings.log")
    preloaded = [faster_allocator() if setting.allocator else "", faster_threads(one.python) if setting.threads else ""]
    one.environment |= {
        "VLLM_CACHE_ROOT": str(cache),
        "VLLM_SERVER_DEV_MODE": "1",  # for /reset_prefix_cache
        "LD_PRELOAD": ":".join(filter(None, preloaded)),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0" if setting.one_process else "1",
    }
    if not setting.one_process:
        one.environment["OMP_NUM_THREADS"] = ""
    start = time.monotonic()
    try:
        yield one.start(), time.monotonic() - start
    finally:
        one.stop()


async def ask(url: str, requests: list[Any], temperature: float) -> tuple[float, list[dict[str, Any]]]:
    """The seconds that all requests take, PLACES at once, and of each reply its text, tokens and finish."""
    places = asyncio.Semaphore(PLACES)
    limits = httpx.Limits(max_connections=PLACES, max_keepalive_connections=PLACES)
    async with httpx.AsyncClient(timeout=600, limits=limits, trust_env=False) as client:

        async def one(messages: Any) -> dict[str, Any]:
            body = {"model": "policy", "messages": messages, "temperature": temperature, "max_tokens": MOST}
            async with places:
                reply = await client.post(f"{url}/chat/completions", json=body)
            reply.raise_for_status()
            found = reply.json()
            return {
                "text": found["choices"][0]["message"]["content"],
                "finish": found["choices"][0]["finish_reason"],
                "tokens": found["usage"]["completion_tokens"],
            }

        start = time.monotonic()
        replies = await asyncio.gather(*map(one, requests))
        return time.monotonic() - start, list(replies)


def figures(url: str, requests: list[Any], rounds: int) -> dict[str, Any]:
    """The rate at which requests are answered that the server has not seen, and what the replies are like."""
    seconds, replies = 0.0, []
    for _ in range(rounds):
        httpx.post(f"{url.removesuffix('/v1')}/reset_prefix_cache", timeout=60).raise_for_status()
        took, some = asyncio.run(ask(url, requests, 0.6))
        seconds, replies = seconds + took, replies + some
    tokens = [reply["tokens"] for reply in replies]
    return {
        "tokens per second": round(sum(tokens) / seconds, 1),
        "tokens per reply": f"{np.mean(tokens):.1f} ± {np.std(tokens) / len(tokens) ** 0.5:.1f}",
        "cut off": round(float(np.mean([reply["finish"] == "length" for reply in replies])), 3),
    }


def measure(place: Workspace, models: Models, requests: list[Any], rounds: int) -> list[dict[str, Any]]:
    """One row of figures per setting and order of the requests."""
    rows: list[dict[str, Any]] = []
    shuffled = [requests[n] for n in np.random.default_rng(0).permutation(len(requests))]
    others = {"shuffled": shuffled, "by prefix": sorted(requests, key=json.dumps)}
    first: list[dict[str, Any]] = []
    for setting in SETTINGS:
        if setting.allocator and not faster_allocator():
            print(f"{setting.name}: this machine has no tcmalloc", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as cache:
            with server(place, models, setting, Path(cache)) as (url, first_start):
                if setting is SETTINGS[0]:
                    _, first = asyncio.run(ask(url, requests, 0.0))
            with server(place, models, setting, Path(cache)) as (url, start):
                _, greedy = asyncio.run(ask(url, requests, 0.0))
                same = [one["text"] == other["text"] for one, other in zip(greedy, first, strict=True)]
                shared = {"first start, s": round(first_start, 1), "later start, s": round(start, 1),
                          "greedy replies as by vLLM's own": round(float(np.mean(same)), 3)}  # fmt: skip
                orders = {"as it came": requests} | (others if setting is SETTINGS[0] else {})
                for order, asked in orders.items():
                    row = {"setting": setting.name, "order": order, **figures(url, asked, rounds), **shared}
                    print(json.dumps(row), file=sys.stderr)
                    rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server_settings", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often the requests are asked for each rate")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="touchstone-settings-") as folder:
        place = demo_without_search(Path(folder))
        models = Models(place)
        try:
            requests = recorded_requests(place, models)
        finally:
            models.stop()
        rows = measure(place, models, requests, given.rounds)
    print(markdown_table(pl.DataFrame(rows)))
    print(json.dumps({"requests": len(requests), "settings": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
