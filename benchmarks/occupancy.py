"""How full a whole tool_rollouts stage keeps the server: `python -m benchmarks.occupancy [--check] [--sizes 50 500]`.

Five arms and further rounds over the asset itself, a ledger on disk, the HTTP client and real sandboxes, against the
deterministic stand-in server, whose replies take times that are drawn once per call (log-normal: a few take four times
as long as most). So the same calls can be made again straight, all handed over at once, which is what an engine could
do at best. Prints, by size, the share of the places that were used on average from the first request to the last
reply, and the time that the same calls take straight as a share of the stage's. The last line is one JSON object.

The replies take long enough that the machine itself is not what limits the rate. About ten minutes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import polars as pl
import yaml

from assets.tool_benefit import tool_rollouts
from benchmarks.targets import concluded, judged
from records.evidence import Evidence, write_evidence
from records.question import Question
from records.tables import to_frame
from records.workspace import Workspace
from reports.samples import markdown_table
from rollouts.models.roles import Models
from tests.support.stand_in_model import ModelStandIn

PLACES = 32
DELAY_S = 0.5
"""The median time of a reply."""
SPREAD = 0.6
"""The standard deviation of its logarithm."""
TARGETS = {50: 0.75, 500: 0.9}
RECIPE = {
    "name": "occupancy",
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {"policy": {"model": "stand-in", "revision": "1", "concurrency": PLACES}},
    "tools": {"math": ["python"]},
    "difficulty": {"samples": 4},
    "tool_benefit": {
        "samples": 4,
        "further": 4.0,
        "controls": ["call_only", "result_only", "oracle"],
        "sampling": {"temperature": 0.7, "max_tokens": 64, "max_turns": 4},
    },
    "selection": [{"to": "rl"}],
}


def questions(size: int) -> pl.DataFrame:
    """Sums, each with evidence."""
    made = [
        Question(
            source="sums", source_row=str(n), task="math", text=f"What is {n} + {7 * n % 50 + 11}?",
            answer=str(n + 7 * n % 50 + 11), answer_type="number",
            extra=json.dumps(write_evidence({}, Evidence(texts=["Add them."]))),
        )
        for n in range(size)
    ]  # fmt: skip
    return to_frame(made, Question).with_columns(split=pl.lit("curation"), chance=pl.lit(0.0))


def roll_out(folder: Path, url: str, size: int) -> dict[str, Any]:
    """Materialize the asset; its metadata."""
    recipe = RECIPE | {"models": {"policy": RECIPE["models"]["policy"] | {"url": url}}}
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    place, asked = Workspace(recipe_file=str(folder / "recipe.yaml"), data=str(folder / "data")), questions(size)
    with dg.build_asset_context() as context:
        made = tool_rollouts(context, workspace=place, models=Models(place), questions=asked, difficulty=asked)
    return {name: entry.value for name, entry in made.metadata.items()}


async def straight(url: str, keys: list[str]) -> float:
    """Seconds that the calls with these keys take, PLACES at a time."""
    room = asyncio.Semaphore(PLACES)
    body = {"model": "stand-in", "messages": [{"role": "user", "content": "1 + 1"}]}
    limits = httpx.Limits(max_connections=PLACES, max_keepalive_connections=PLACES)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:

        async def one(key: str) -> None:
            async with room:
                reply = await client.post(f"{url}/chat/completions", json=body, headers={"X-Request-Id": f"{key}-1"})
                reply.raise_for_status()

        start = time.monotonic()
        await asyncio.gather(*map(one, keys))
        return time.monotonic() - start


def used(events: list[dict[str, Any]]) -> tuple[float, float]:
    """The share of the places that were used on average, and the seconds from the first request to the last reply."""
    asked = {line["key"]: line["time"] for line in events if line["event"] == "asked"}
    answered = {line["key"]: line["time"] for line in events if line["event"] == "answered"}
    seconds = max(answered.values()) - min(asked.values())
    return sum(answered[key] - asked[key] for key in asked) / (PLACES * seconds), seconds


def measure(sizes: list[int]) -> list[dict[str, Any]]:
    """One row of figures per size."""
    rows = []
    for size in sizes:
        with (
            tempfile.TemporaryDirectory() as scratch,
            ModelStandIn(Path(scratch), delay=DELAY_S, spread=SPREAD) as server,
        ):
            metadata = roll_out(Path(scratch) / "place", server.url, size)
            share, seconds = used(events := server.events())
            alone = asyncio.run(straight(server.url, [e["key"] for e in events if e["event"] == "asked"]))
        rows.append(
            {
                "questions": size,
                "calls": len(events) // 2,
                "further rollouts": metadata["further_spent"],
                "places used": round(share, 3),
                "seconds": round(seconds, 1),
                "straight, seconds": round(alone, 1),
                "rate over straight": round(alone / seconds, 3),
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.occupancy", description=str(__doc__).splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(TARGETS), help="numbers of questions")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a target is missed")
    given = parser.parse_args()
    rows = measure(given.sizes)
    print(markdown_table(pl.DataFrame(rows)))
    wanted = [row for row in rows if row["questions"] in TARGETS]
    targets = [
        (f"{row['questions']} questions: {what}", row[what], "at least", TARGETS[row["questions"]])
        for row in wanted
        for what in ("places used", "rate over straight")
    ]
    return concluded({"sizes": rows, "targets": judged(targets)}, given.check)


if __name__ == "__main__":
    sys.exit(main())
