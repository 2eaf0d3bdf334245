"""How full the pipeline keeps the engine: `python -m benchmarks.rollout_throughput`.

The same requests go straight through the engine (vllm.LLM, all of them handed over at once) and through the pipeline
(the agent loop over a ledger on disk, the HTTP client, vLLM's server, the sandbox), with the same model, settings and
number of requests at once, in turns within one run.

Single-turn: every reply has the same number of tokens, the end of text being ignored. Multi-turn: the pipeline rolls
out with the python tool, each call in a sandbox, replies ending where they end; the engine is then given the requests
that came of it, each to reply with as many tokens as it had. Rates count written tokens. Needs the demo's model (`make
model`); on two cores it takes about a quarter of an hour. The last line is one JSON object.
"""

import argparse
import asyncio
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from measurement import arms
from measurement.prepared_arm import PreparedArm
from measurement.toolbox import Toolbox
from pipelines.recipe_file import recipe_path
from records.question import Question
from records.trajectory import Message
from records.workspace import Workspace
from rollouts.dialects.plain_tags import PlainTags
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completion, Request
from rollouts.models.endpoint import Endpoint
from rollouts.models.roles import Models
from rollouts.pool import Pool
from rollouts.setting import Setting
from rollouts.waves import OpenQuestion, Waves
from sources.open import load_source

SINGLE_TOKENS = 64
TARGETS = {"single_turn": 0.95, "multi_turn": 0.92}


class EveryToken(PlainTags):
    """Replies of full length, so that both ways write the same number of tokens."""

    extra = MappingProxyType({"ignore_eos": True})

    def stop(self, tools: Any) -> tuple[str, ...]:
        return ()


class Recorder:
    """The model, noting what it was asked and how many tokens it wrote."""

    def __init__(self, model: Endpoint) -> None:
        self._model, self.fingerprint = model, model.fingerprint
        self.requests: list[dict[str, Any]] = []

    async def complete(self, request: Request) -> Completion:
        reply = await self._model.complete(request)
        self.requests.append({"messages": request.messages, "tokens": reply.completion_tokens})
        return reply


class Engine:
    """vllm.LLM in a process of its own, with the settings and the surroundings of the server."""

    def __init__(self, models: Models, place: Workspace, log: Path) -> None:
        server = models.server("policy", models.files("policy"))
        serve = place.recipe.models.policy.serve
        settings = {
            "model": str(models.files("policy").path),
            "dtype": serve.dtype,
            "max_model_len": serve.max_model_len,
            "max_num_seqs": serve.max_num_seqs,
            "enforce_eager": serve.enforce_eager,
            "generation_config": "vllm",
        }
        self._process = subprocess.Popen(
            [server.python, "-m", "benchmarks.straight_engine", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            env=server.surroundings(),
            text=True,
        )
        self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None  # a pipe
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit("the engine ended; its log is above")

    def run(self, requests: list[dict[str, Any]], temperature: float, top_p: float) -> dict[str, float]:
        """tokens and seconds of these requests, all given at once."""
        order = {"requests": requests, "temperature": temperature, "top_p": top_p}
        assert self._process.stdin is not None  # a pipe
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None  # a pipe
        self._process.stdin.close()
        self._process.wait(60)


async def through_pipeline(
    place: Workspace, arm: arms.Arm, model: Endpoint, questions: list[Question], first: int, every_token: bool
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """tokens, seconds and calls of one attempt at each question, and the requests that came of it."""
    recorder, prepare = Recorder(model), PreparedArm(arm, Toolbox(place)).prompt

    def prepared(question: Question, given: Sequence[Message]) -> tuple[Setting, list]:
        setting, prompt = prepare(question, given)
        return (dataclasses.replace(setting, dialect=EveryToken()) if every_token else setting), prompt

    start = time.monotonic()
    with Ledger(place.ledger) as ledger:
        todo = (OpenQuestion(question) for question in questions)
        async with Pool(recorder, ledger, model.concurrency, lambda line: None) as pool:
            waves = Waves(prepared, (1,), lambda n, s: False, pool, arm.name, first)
            late = await waves.roll_out(todo, len(questions))
        ledger.flush()
        seconds, tools = time.monotonic() - start, ledger.made["tool"]
    await model.aclose()
    if late:
        raise SystemExit(f"{len(late)} rollouts could not be finished: {late[0].error_class}")
    tokens = sum(request["tokens"] for request in recorder.requests)
    return {"tokens": tokens, "seconds": seconds, "calls": len(recorder.requests), "tools": tools}, recorder.requests


def compare(
    name: str, place: Workspace, arm: arms.Arm, models: Models, engine: Engine, questions: list[Question], rounds: int
) -> dict[str, float]:
    """Rates of both ways over some rounds, each round other samples of the same questions."""
    model = models.completer("policy")
    asyncio.run(model.complete(Request([{"role": "user", "content": "1+1?"}], 0.0, 1.0, 4)))  # starts the server
    ours = {"tokens": 0.0, "seconds": 0.0, "calls": 0, "tools": 0}
    straight = {"tokens": 0.0, "seconds": 0.0}
    for number in range(rounds):
        first = number * 100
        figures, requests = asyncio.run(
            through_pipeline(place, arm, model, questions, first, every_token=name == "single_turn")
        )
        ours = {key: ours[key] + figures[key] for key in ours}
        figures = engine.run(requests, arm.sampling.temperature, arm.sampling.top_p)
        straight = {key: straight[key] + figures[key] for key in straight}
        print(
            f"{name}, round {number + 1}: pipeline {ours['tokens'] / ours['seconds']:.1f} tokens/s so far, engine "
            f"{straight['tokens'] / straight['seconds']:.1f}",
            flush=True,
        )
    rates = {"pipeline": ours["tokens"] / ours["seconds"], "engine": straight["tokens"] / straight["seconds"]}
    return {
        "ratio": round(rates["pipeline"] / rates["engine"], 3),
        "target": TARGETS[name],
        "pipeline_tokens_s": round(rates["pipeline"], 1),
        "engine_tokens_s": round(rates["engine"], 1),
        "tokens": ours["tokens"],
        "model_calls": ours["calls"],
        "tool_calls": ours["tools"],
    }


def place_of(root: Path, concurrency: int, questions: int) -> Workspace:
    """A workspace with the demo's model and prompts, and as many math questions."""
    values = yaml.safe_load(recipe_path().read_text())
    each = -(-questions // 8)
    tasks = ("chain_sum", "gcd", "letter_counting", "basic_arithmetic", "count_bits", "decimal_arithmetic",
             "prime_factorization", "leg_counting")  # fmt: skip
    counts = {task: {"count": each} for task in tasks}
    values["sources"] = [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": counts}}]
    values["models"]["policy"]["concurrency"] = concurrency
    values["models"]["policy"]["serve"]["max_num_seqs"] = concurrency
    values["sandbox"]["sessions"] = 2 * concurrency
    values["difficulty"]["sampling"] = {"temperature": 0.6, "max_tokens": SINGLE_TOKENS, "max_turns": 1}
    (root / "recipe.yaml").write_text(yaml.safe_dump(values))
    return Workspace(recipe_file=str(root / "recipe.yaml"), data=str(root / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollout_throughput", description=str(__doc__).split("\n")[0]
    )
    parser.add_argument("--questions", type=int, default=160, help="asked single-turn, in each round")
    parser.add_argument("--multi-turn-questions", type=int, default=480, help="many, so that the end counts for little")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2, help="of the single-turn part; the other has one")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="touchstone-throughput-") as folder:
        most = max(given.questions, given.multi_turn_questions)
        place = place_of(Path(folder), given.concurrency, most)
        recipe = place.recipe
        rows = load_source(recipe.sources[0], recipe.seed, place.images)
        questions = [row for row in rows if isinstance(row, Question)]
        models = Models(place)
        log = Path(folder) / "engine.log"
        engine = Engine(models, place, log)
        try:
            parts = (
                ("single_turn", arms.direct_arm(recipe), given.questions, given.rounds),
                ("multi_turn", arms.tools_arm(recipe), given.multi_turn_questions, 1),
            )
            figures = {
                name: compare(name, place, arm, models, engine, questions[:count], rounds)
                for name, arm, count, rounds in parts
            }
        except SystemExit:
            print(log.read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            engine.close()
            models.stop()
    print(json.dumps({"concurrency": given.concurrency, **figures}))


if __name__ == "__main__":
    main()
