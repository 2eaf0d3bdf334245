"""`python vision_grpo.py MODEL OUT`: a step of TRL's GRPOTrainer on a vision model, with the python tool's images.

In a process of its own, because the processor needs torchvision (tests/support/tiny_vision_model.py). The last line of
stdout is JSON: the contexts that the policy was given, the images beside each, and what was logged.
"""

import io
import json
import sys
from typing import Any

from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_vl_chat_template

from records.recipe import SandboxSettings
from training.environments.trl import PythonEnvironments


def call(code: str) -> str:
    return "<tool_call>\n" + json.dumps({"name": "python", "arguments": {"code": code}}) + "\n</tool_call>"


def rows() -> Dataset:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), "red").save(buffer, "PNG")
    blocks = List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})
    row = {
        "prompt": [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "?"}]}],
        "images": [{"bytes": buffer.getvalue(), "path": None}],
    }
    return Dataset.from_list([row] * 2, features=Features({"prompt": blocks, "images": List(ImageFeature())}))


def main(model: str, out: str) -> dict[str, Any]:
    processor = AutoProcessor.from_pretrained(model)
    processor.chat_template = qwen3_vl_chat_template
    tokenizer, contexts, shown = processor.tokenizer, [], []

    class Trainer(GRPOTrainer):
        def _generate_single_turn(self, prompt_ids: list[list[int]], images: Any, *_: Any, **__: Any) -> Any:
            replies = []
            for number, ids in enumerate(prompt_ids):
                contexts.append(tokenizer.decode(ids))
                shown.append([image.size for image in images[number]])
                turn = contexts[-1].count("<tool_response>")
                said = [call("image_1.size"), call("image_1.resize((64, 64))"), f"done {number % 2}"][turn]
                replies.append(tokenizer.encode(f"{said}<|im_end|>", add_special_tokens=False))
            return replies, None

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [float(turns[-1]["content"] == "done 1") for turns in completions]

    config = GRPOConfig(
        output_dir=out,
        per_device_train_batch_size=4,
        num_generations=2,
        max_steps=1,
        max_completion_length=900,
        learning_rate=1e-2,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
    )
    with PythonEnvironments(SandboxSettings(sessions=4, libraries=["PIL"]), sees_images=True) as environments:
        trainer = Trainer(
            model=AutoModelForImageTextToText.from_pretrained(model),
            args=config,
            reward_funcs=[environments.reward(reward)],
            train_dataset=rows(),
            processing_class=processor,
            environment_factory=environments,
        )
        trainer.train()
    return {"contexts": contexts, "shown": shown, "log": trainer.state.log_history[0]}


if __name__ == "__main__":
    print("\n" + json.dumps(main(*sys.argv[1:])))
