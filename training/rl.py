"""The RL job: TRL's GRPOTrainer with our own agent loop, tools and verifier. Run as `python -m training.rl JOB.json`.

Each step rolls the current weights out on a few questions, `group_size` times each, with the tools that the question's
row names, in the same loop that curated the data. Tokens that the model did not sample (observations, what the
template puts around turns) carry no loss. A rollout that infrastructure cut off gets no reward.
"""

import asyncio
import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any, cast

from records.heartbeat import Clock
from records.identity import canonical_json
from records.images.store import ImageStore
from records.question import Question
from records.recipe import Recipe, Rl, Sampling
from records.trajectory import Message, Role, Rollout, text_message
from rollouts.agent import attempt
from rollouts.dialects import get_dialect
from rollouts.models.contract import Completer
from rollouts.setting import Setting
from rollouts.tool_calls import NoLedger
from rollouts.tools import Tool, ToolContext, build_tool
from rollouts.waves import NOT_AN_ATTEMPT
from training.job import Job, JobError, adapter, load, read_job, say, train, trainer_settings, write_result
from training.masking import template_text, token_ids
from training.policy_completer import PolicyCompleter, PolicySession
from training.reward import trl_reward


class RlJob(Job):
    settings: Rl = Rl()
    recipe: Recipe
    """Says how tools are built."""
    data_root: str
    """The data folder, for the tools."""
    images_root: str
    """The image store."""
    max_context: int = 4096
    """Tokens of prompt and completion together."""


LOGGED = {
    "reward": "reward",
    "reward_std": "reward_std",
    "loss": "loss",
    "zero_variance_groups": "frac_reward_zero_std",
}
"""Our name for what TRL logs."""


def _number(value: float | None) -> float | None:
    """The number, rounded; None for none."""
    return None if value is None or math.isnan(float(value)) else round(float(value), 4)


def prompt_messages(chat: list[dict[str, str]]) -> list[Message]:
    """An exported prompt as messages that a dialect renders to the same text again."""
    messages = []
    for turn in chat:
        if turn["role"] == "assistant":
            messages.append(Message(role="assistant", raw=turn["content"]))
        else:
            messages.append(text_message(cast(Role, turn["role"]), turn["content"]))
    return messages


class Roller:
    """Rolls the policy out on rows of a trl_prompts file, as a TRL rollout function.

    All steps share one event loop, because tools may keep things that belong to the loop they were first used in.
    """

    def __init__(self, job: RlJob, tools: dict[str, Tool]) -> None:
        self._job, self._tools = job, tools
        self._loop = asyncio.new_event_loop()
        self.done = self.unfinished = self.tokens = self.calls = 0

    def __call__(self, prompts: list[Any], trainer: Any) -> dict[str, list[Any]]:
        """TRL's rollout_func; the rows come from `trainer.rows`, because equal prompts can be different questions."""
        return self._loop.run_until_complete(self._roll_out(trainer))

    def close(self) -> None:
        self._loop.close()

    async def _roll_out(self, trainer: Any) -> dict[str, list[Any]]:
        from trl.models import unwrap_model_for_generation  # pyright: ignore[reportPrivateImportUsage] # TRL imports its names late

        tokenizer = trainer.processing_class
        was_training = trainer.model.training
        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            model.eval()
            policy = PolicyCompleter(model, tokenizer, self._job.max_context, say=say)
            try:
                pairs = await asyncio.gather(*(self._one(row, policy) for row in trainer.rows))
            finally:
                await policy.close()
                model.train(was_training)
        begin = template_text(tokenizer, [{"role": "user", "content": "?"}], open_turn=True)
        opened = "<think>" if begin.rstrip().endswith("<think>") else ""  # then each turn begins within a thought
        output: dict[str, list[Any]] = {"prompt_ids": [], "completion_ids": [], "env_mask": [], "turns": []}
        for row, (rollout, session) in zip(trainer.rows, pairs, strict=True):
            attempted = rollout.stop_reason not in NOT_AN_ATTEMPT and bool(session.completion_ids)
            if attempted:
                said = [opened + (m.raw or "") for m in rollout.messages if m.role == "assistant"]
                output["prompt_ids"].append(session.prompt_ids)
                output["completion_ids"].append(session.completion_ids)
                output["env_mask"].append(session.mask)
                output["turns"].append(canonical_json(said))
            else:  # no reward and no loss, but TRL wants a row for every prompt
                self.unfinished += 1
                ids = token_ids(tokenizer, template_text(tokenizer, row["prompt"], open_turn=True))
                output["prompt_ids"].append(ids[-1:])
                output["completion_ids"].append([tokenizer.eos_token_id])
                output["env_mask"].append([0])
                output["turns"].append(None)
            self.tokens += sum(session.mask)
            self.calls += len(rollout.tool_calls)
        # No log-probabilities: TRL needs those of another engine only; the policy's own are computed in the step.
        return output | {"logprobs": None}  # type: ignore[dict-item]

    async def _one(self, row: dict[str, Any], policy: PolicyCompleter) -> tuple[Rollout, PolicySession]:
        session, rl = policy.session(), self._job.settings
        setting = Setting(
            arm="tools",
            dialect=get_dialect(row["dialect"]),
            tools={name: self._tools[name] for name in json.loads(row["tools"])},
            sampling=Sampling(temperature=rl.temperature, max_tokens=rl.max_tokens, max_turns=rl.max_turns),
            images=ImageStore(self._job.images_root),
        )
        question = Question.model_validate_json(row["question"])
        model = cast(Completer, session)  # its fingerprint is a property
        rollout = await attempt(question, prompt_messages(row["prompt"]), setting, 0, model, NoLedger())
        self.done += 1
        return rollout, session


def load_rows(path: str, tokenizer: Any, job: RlJob) -> tuple[list[dict[str, Any]], int]:
    """Rows whose prompt leaves room for one turn, and how many do not.

    Raises:
        JobError: the rows hold images, or none is left.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    if "images" in file.schema_arrow.names:
        raise JobError("the rows hold images, which this job cannot show: train on the verl_parquet export with verl")
    rows = file.read().to_pylist()
    room = job.max_context - job.settings.max_tokens
    kept = [r for r in rows if len(token_ids(tokenizer, template_text(tokenizer, r["prompt"], open_turn=True))) <= room]
    if not kept:
        raise JobError(f"{path}: none of {len(rows)} prompts has at most {room} tokens")
    return kept, len(rows) - len(kept)


def _trainer_class() -> Any:
    """TRL's trainer, made to fit; a function because TRL takes seconds to import."""
    from trl import GRPOTrainer  # pyright: ignore[reportPrivateImportUsage] # TRL imports its names late

    class RowsTrainer(GRPOTrainer):
        """Keeps the rows of a batch where the rollout function finds them: TRL hands it the prompts only."""

        rows: list[dict[str, Any]]

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            self.rows = inputs
            return super()._generate_and_score_completions(inputs)

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            # A group whose rewards are all equal has no advantage and, without a KL term, exactly no gradient: the
            # forward and backward passes over it, most of a step's time, are not made.
            if self.beta == 0 and not inputs["advantages"].any():
                return sum(p.sum() * 0.0 for p in model.parameters() if p.requires_grad)
            return super()._compute_loss(model, inputs)

    return RowsTrainer


def _progress(steps: list[dict[str, float | None]], wanted: int, clock: Clock) -> Any:
    """A callback that adds the numbers of each step to `steps` and says them."""
    from transformers import TrainerCallback

    class RlProgress(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if not logs or "reward" not in logs:
                return
            # None: infrastructure cut off every rollout of the step.
            step = {key: _number(logs[name]) for key, name in LOGGED.items()}
            steps.append({"step": state.global_step, **step, "seconds": clock.seconds})
            say(f"rl: step {state.global_step}/{wanted}, {step}, {clock.seconds} s")

    return RlProgress()


def _config(job: RlJob) -> Any:
    from trl import GRPOConfig  # pyright: ignore[reportPrivateImportUsage] # TRL imports its names late

    settings = job.settings
    per_step = settings.prompts_per_step * settings.group_size
    return GRPOConfig(
        **trainer_settings(job, settings.steps, settings.learning_rate),
        per_device_train_batch_size=1,  # memory: one rollout's logits at a time
        gradient_accumulation_steps=per_step,
        steps_per_generation=per_step,
        num_generations=settings.group_size,
        max_completion_length=settings.max_tokens * settings.max_turns,
        temperature=settings.temperature,
        shuffle_dataset=True,
    )


def run(job: RlJob, tools: dict[str, Tool] | None = None) -> dict[str, Any]:
    """Train, save, write result.json and return what it holds.

    Args:
        tools: by name; built as the recipe says when not given.

    Raises:
        JobError: no prompt fits, or the rows hold images.
        RecipeError: a row names a tool that there is not.
    """
    from datasets import Dataset

    clock, settings = Clock(), job.settings
    model, tokenizer = load(job)
    rows, too_long = load_rows(job.data, tokenizer, job)
    if tools is None:
        context = ToolContext(job.recipe, ImageStore(job.images_root), job.data_root)
        tools = {name: build_tool(name, context) for row in rows for name in json.loads(row["tools"])}
    roller, config = Roller(job, tools), _config(job)
    say(
        f"rl: {len(rows)} questions, {too_long} prompts too long; {settings.steps} steps of "
        f"{config.steps_per_generation} rollouts"
    )
    steps: list[dict[str, float | None]] = []
    trainer = _trainer_class()(
        model=model,
        reward_funcs=trl_reward,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter(job, settings.lora_rank),
        rollout_func=roller,
        callbacks=[_progress(steps, settings.steps, clock)],
    )
    line = lambda: f"rl: {len(steps)}/{settings.steps} steps, {roller.done} rollouts done"  # noqa: E731
    with contextlib.closing(roller):
        done = train(job, trainer, settings.lora_rank, clock, line)
    counted = {
        "steps": len(steps),
        "per_step": steps,
        "rows": len(rows),
        "too_long": too_long,
        "rollouts": roller.done,
        "unfinished": roller.unfinished,
        "tool_calls": roller.calls,
        "tokens": roller.tokens,
        "zero_variance_groups": sum(s["zero_variance_groups"] or 0.0 for s in steps) / max(1, len(steps)),
    }
    return write_result(job, counted | done)


def main() -> None:
    job = read_job(sys.argv[1:], RlJob)
    Path(job.output).mkdir(parents=True, exist_ok=True)
    try:
        result = run(job)
    except JobError as error:
        sys.exit(f"rl: {error}")
    say(f"rl: {result['steps']} steps, {result['rollouts']} rollouts, {result['tool_calls']} tool calls")


if __name__ == "__main__":
    main()
