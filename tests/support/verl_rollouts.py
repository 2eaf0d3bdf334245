"""Runs in verl's environment: its AgentLoopWorker on rows of a verl_parquet file, with the policy's words given.

JSON in by argument: the names of files, and for each case the settings that differ, the questions to roll out and what
the policy says to each, turn by turn. The last line of stdout is JSON out: what each case came to.
"""

import asyncio
import contextlib
import gc
import json
import os
import sys
from typing import Any

import verl
from hydra import compose, initialize_config_dir
from PIL import Image
from verl.experimental.agent_loop import agent_loop
from verl.experimental.agent_loop.tool_agent_loop import AgentData, ToolAgentLoop
from verl.experimental.agent_loop.tool_parser import FunctionCall
from verl.protocol import DataProto
from verl.tools.tool_registry import initialize_tools_from_config
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.workers.rollout.replica import TokenOutput

import training.environments.verl as adapter
from sandbox import CellResult

OWN_LOOPS = dict(agent_loop._agent_loop_registry)


class Failing:
    """A sandbox whose first `faults` cells with the word FAULT are faults of ours."""

    def __init__(self, inner: Any, faults: int) -> None:
        self.inner, self.faults, self.opened = inner, faults, 0

    async def open(self, images: Any = (), files: Any = None, seed: int | None = None) -> Any:
        self.opened += 1
        session = await self.inner.open(images, files, seed)
        run = session.run

        async def sometimes(code: str) -> CellResult:
            if "FAULT" in code and self.faults > 0:
                self.faults -= 1
                return CellResult("infrastructure", error="the worker is gone")
            return await run(code)

        session.run = sometimes
        return session

    async def close(self) -> None:
        await self.inner.close()


class Policy:
    """verl's client of a model server: says what it was given for the question that is in the prompt."""

    def __init__(self, said: dict[str, list[str]]) -> None:
        self.said = said
        self.tokenizer: Any = None

    async def generate(self, prompt_ids: list[int], **_: Any) -> TokenOutput:
        context = self.tokenizer.decode(prompt_ids)
        turns = next(turns for question, turns in self.said.items() if question in context)
        turn = turns[min(context.count("<|im_start|>assistant\n") - 1, len(turns) - 1)]
        return TokenOutput(token_ids=self.tokenizer.encode(turn + "<|im_end|>", add_special_tokens=False))


def worker_for(request: dict[str, Any], case: dict[str, Any], policy: Policy) -> agent_loop.AgentLoopWorker:
    rollout = "actor_rollout_ref.rollout"
    settings = {
        "actor_rollout_ref.model.path": request["model"],
        f"{rollout}.name": "vllm",
        f"{rollout}.prompt_length": 3000,
        f"{rollout}.response_length": 8000,
        f"{rollout}.multi_turn.enable": "true",
        f"{rollout}.multi_turn.tool_config_path": case.get("tools") or request["tools"],
        f"{rollout}.multi_turn.max_tool_response_length": case.get("longest", 20_000),
    }
    agent_loop._agent_loop_registry |= OWN_LOOPS  # a worker's changes to it last as long as the process
    if case.get("ours", True):
        settings[f"{rollout}.agent.agent_loop_config_path"] = request["loops"]
    with initialize_config_dir(os.path.join(os.path.dirname(verl.__file__), "trainer/config"), version_base=None):
        config = compose("ppo_trainer", overrides=[f"{name}={value}" for name, value in settings.items()])
    worker = agent_loop.AgentLoopWorker(config, policy)
    policy.tokenizer = worker.tokenizer
    return worker


def batch_of(request: dict[str, Any], worker: agent_loop.AgentLoopWorker, questions: list[str]) -> DataProto:
    data = RLHFDataset(request["data"], worker.tokenizer, worker.config.data)
    rows = [row for row in map(data.__getitem__, range(len(data))) if row["raw_prompt"][-1]["content"] in questions]
    return DataProto.from_single_dict(collate_fn(rows))


def rolled_out(request: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    policy = Policy(case["said"])
    worker = worker_for(request, case, policy)
    (tool,) = worker.tools
    if case.get("faults"):
        tool._sandbox = Failing(tool._opened(), case["faults"])
    try:
        output = asyncio.run(worker.generate_sequences(batch_of(request, worker, list(case["said"]))))
    except BaseException as error:
        return {"raised": type(error).__name__, "ordinary": isinstance(error, Exception), "message": str(error)}
    asyncio.run(asyncio.sleep(0.2))
    sessions = getattr(getattr(tool._sandbox, "inner", tool._sandbox), "sessions", ())  # servers count their own
    fields, found = output.non_tensor_batch, {}
    for position, prompt in enumerate(fields["raw_prompt"]):
        ids, mask = output.batch["responses"][position], output.batch["response_mask"][position]
        found[prompt[-1]["content"]] = {
            "response": worker.tokenizer.decode(ids),
            "learnt": worker.tokenizer.decode(ids[mask.bool()]),
            "turns": fields["model_turns"][position] if "model_turns" in fields else None,
        }
    opened = getattr(tool._sandbox, "opened", None)
    return {"rollouts": found, "open": len(sessions), "kept": len(tool._of_trajectory), "opened": opened}


async def life_cycle(request: dict[str, Any]) -> dict[str, Any]:
    """verl's documented life cycle, without a trajectory: a session lasts from create to release."""
    (tool,) = initialize_tools_from_config(request["tools"])
    untouched = tool._sandbox is None
    one, _ = await tool.create(create_kwargs={"images": [{"bytes": bytes.fromhex(request["red"]), "path": None}]})
    other, _ = await tool.create("named")
    results = [
        await tool.execute(one, {"code": "x = image_1.getpixel((0, 0)); x"}),
        await tool.execute(one, {"code": "x"}),
        await tool.execute(other, {"code": "x"}),
        await tool.execute(one, {"cod": "x"}),
        await tool.execute(one, "x"),
        await tool.execute(one, {"code": "while True: pass"}),
    ]
    before = len(tool._sandbox.sessions)
    await tool.release(one)
    await tool.release(one)
    await tool.release("another")
    reward = await tool.calc_reward(one)
    return {
        "untouched": untouched,
        "texts": [response.text for response, _, _ in results],
        "outcomes": [metrics["outcome"] for _, _, metrics in results],
        "rewards": [*(reward for _, reward, _ in results), reward],
        "other": other,
        "open": [before, len(tool._sandbox.sessions)],
        "schema": tool.tool_schema.model_dump(exclude_unset=True, exclude_none=True),
    }


async def images(request: dict[str, Any], worker: agent_loop.AgentLoopWorker) -> dict[str, Any]:
    """A vision policy's trajectory through the loop's own call of a tool: images of the prompt, images back."""
    tools = initialize_tools_from_config(request["seeing_tools"])
    wrap = agent_loop.DictConfigWrap
    loop = ToolAgentLoop(
        wrap(worker.config),
        None,
        worker.tokenizer,
        None,
        RLHFDataset,
        wrap(worker.config.data),
        "qwen2",
        tools=agent_loop.ToolListWrap(tools),
    )
    red = bytes.fromhex(request["red"])
    blocks = [
        {"type": "image", "bytes": red, "path": None, "image": Image.new("RGB", (1, 1))},
        {"type": "image", "image": Image.new("RGB", (3, 3), "blue")},
        {"type": "text", "text": "?"},
    ]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": blocks}]

    def trajectory() -> AgentData:
        return AgentData(list(messages), None, None, None, None, {}, "id", {})

    async def call(of: AgentData, code: str) -> Any:
        (response, _, _) = await loop._call_tool(
            FunctionCall(name="python", arguments=json.dumps({"code": code})), {}, of
        )
        return response

    one, other = trajectory(), trajectory()
    shown = await call(one, "seen = image_1.size, image_2.size; image_1")
    one.messages.append({"role": "tool", "content": [{"type": "image", "image": shown.image[0]}]})
    texts = [(await call(one, "seen")).text, (await call(other, "seen")).text]
    lives = len(tools[0]._sandbox.sessions)
    del one, other
    gc.collect()
    await asyncio.sleep(0.2)
    return {
        "texts": texts,
        "size": shown.image[0].size,
        "mode": shown.image[0].mode,
        "note": shown.text,
        "open": [lives, len(tools[0]._sandbox.sessions)],
    }


def main() -> None:
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        result = {name: rolled_out(request, case) for name, case in request["cases"].items()}
        result["life_cycle"] = asyncio.run(life_cycle(request))
        worker = worker_for(request, {}, Policy({}))
        result["images"] = asyncio.run(images(request, worker))
        try:
            adapter.PythonTool({"type": "native", "sandbx": {}})
        except ValueError as error:
            result["bad_config"] = str(error)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
