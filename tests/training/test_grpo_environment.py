"""Steps of TRL's GRPOTrainer with the python tool as its environment: the loop, the chat template and the gradient are
TRL's, only the policy's words are given."""

import json
from pathlib import Path
from typing import Any

import pytest

from records.recipe import SandboxSettings
from tests.support.served_sandboxes import StandIn
from training.environments import trl
from training.environments.episode import SandboxFault
from training.environments.trl import PythonEnvironments

SETTINGS = SandboxSettings(cell_timeout_s=2, memory_mb=512, sessions=4, libraries=[])


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def call(code: str) -> str:
    return "<tool_call>\n" + json.dumps({"name": "python", "arguments": {"code": code}}) + "\n</tool_call><|im_end|>"


def train(tiny_policy: str, tmp_path: Path, environments: PythonEnvironments, reward: Any, said: Any) -> Any:
    """One step of GRPOTrainer on two rows, two rollouts each; `said` gives a rollout's next turn."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer
    from trl.chat_template_utils import qwen2_5_chat_template

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.chat_template = qwen2_5_chat_template

    class Trainer(GRPOTrainer):
        def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
            """A random model calls no tool: its words are given, all else is TRL's."""
            turns = [said(n, tokenizer.decode(ids)) for n, ids in enumerate(prompt_ids)]
            return [tokenizer.encode(turn, add_special_tokens=False) for turn in turns], None

    config = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=2,
        max_steps=1,
        max_completion_length=600,
        learning_rate=1e-2,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
    )
    rows = [{"prompt": [{"role": "user", "content": f"row {n}"}], "number": n} for n in range(2)]
    trainer = Trainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_policy),
        args=config,
        reward_funcs=reward,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        environment_factory=environments,
    )
    trainer.train()
    return trainer


def test_a_step_of_grpo(tiny_policy: str, tmp_path: Path) -> None:
    prompts, finished = [], []

    def said(number: int, context: str) -> str:
        turn = context.count("<tool_response>")
        prompts.append(context)
        return [call("x = 41"), call(f"x + {number % 2}"), "done<|im_end|>"][turn]

    def reward(completions: list[Any], environments: list[Any], **_: Any) -> list[float]:
        finished.extend(completions)
        return [float(turns[3]["content"] == "42") for turns in completions]

    with PythonEnvironments(SETTINGS) as environments:
        trainer = train(tiny_policy, tmp_path, environments, environments.reward(reward), said)
    assert "Run Python code and see what it prints" in prompts[0]
    assert [[turn["role"] for turn in turns] for turns in finished] == [
        ["assistant", "tool", "assistant", "tool", "assistant"]
    ] * 4
    assert sorted(turns[3]["content"] for turns in finished) == ["41", "41", "42", "42"]
    log = trainer.state.log_history[0]
    assert (log["reward"], log["tools/call_frequency"], log["tools/failure_frequency"]) == (0.5, 2.0, 0.0)
    assert log["grad_norm"] > 0 and log["sandbox_faults"] == 0


def test_a_step_of_grpo_with_a_fault(tiny_policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trl, "build_sandbox", lambda settings: StandIn())

    def said(number: int, context: str) -> str:
        return "done<|im_end|>" if "<tool_response>" in context else call("fault" if number == 0 else str(number))

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [float(number) for number in range(len(completions))]

    with pytest.raises(SandboxFault, match="the worker is gone"):
        train(tiny_policy, tmp_path, PythonEnvironments(SETTINGS), reward, said)
    environments = PythonEnvironments(SETTINGS)
    trainer = train(tiny_policy, tmp_path, environments, environments.reward(reward), said)
    log = trainer.state.log_history[0]
    assert log["reward"] == 2.0, "the mean of 1, 2 and 3"
    assert log["sandbox_faults"] == 1 and environments.faults == 1
    assert trainer._logs["advantages"][0] == 0.0, "nothing is learnt from it"
