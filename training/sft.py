"""The SFT job: TRL's SFTTrainer on a trl_messages file. Run as `python -m training.sft JOB.json`.

Loss is on the text of the assistant turns after the prompt and on nothing else (training/masking.py).
"""

import sys
from pathlib import Path
from typing import Any

from records.heartbeat import Clock
from records.recipe import Sft
from training.job import Job, JobError, adapter, load, read_job, say, train, trainer_settings, write_result
from training.masking import IGNORED, encode


class SftJob(Job):
    settings: Sft = Sft()


def load_rows(job: SftJob, tokenizer: Any) -> tuple[list[dict[str, list[int]]], int]:
    """Rows as token ids and labels, and how many are too long and left out.

    Raises:
        JobError: no row fits.
        TemplateError: the tokenizer's chat template rewrites earlier turns.
    """
    import pyarrow.parquet as pq

    longest = job.settings.max_length
    encoded, too_long = [], 0
    for row in pq.read_table(job.data, columns=["prompt", "completion"]).to_pylist():
        ids, labels = encode(row["prompt"], row["completion"], tokenizer)
        if len(ids) > longest:
            too_long += 1  # a cut conversation would teach to stop in the middle
        else:
            encoded.append({"input_ids": ids, "labels": labels})
    if not encoded:
        raise JobError(f"{job.data}: no row has at most {longest} tokens ({too_long} are longer)")
    return encoded, too_long


def _refuse_images(path: str) -> None:
    import pyarrow.parquet as pq

    if "images" in pq.ParquetFile(path).schema_arrow.names:
        raise JobError(
            "the rows hold images: TRL cannot keep observations out of the loss of a vision-language model; "
            "train on the llamafactory_sharegpt export with LLaMA-Factory"
        )


def _progress(losses: list[float], steps: int, clock: Clock) -> Any:
    """A callback that adds the loss of each step to `losses` and says it."""
    from transformers import TrainerCallback

    class SftProgress(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if logs and "loss" in logs:
                losses.append(float(logs["loss"]))
                say(f"sft: step {state.global_step}/{steps}, loss {losses[-1]:.4f}, {clock.seconds} s")

    return SftProgress()


def run(job: SftJob) -> dict[str, Any]:
    """Train, save, write result.json and return what it holds.

    Raises:
        JobError: no row fits, or the rows hold images.
        TemplateError: the tokenizer's chat template rewrites earlier turns.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage] # TRL imports its names late

    clock, settings = Clock(), job.settings
    _refuse_images(job.data)  # before the model is loaded, which takes long
    model, tokenizer = load(job)
    encoded, too_long = load_rows(job, tokenizer)
    longest = max(len(row["input_ids"]) for row in encoded)
    say(f"sft: {len(encoded)} rows, longest {longest} tokens, {too_long} too long; {settings.steps} steps")
    losses: list[float] = []
    config = SFTConfig(
        **trainer_settings(job, settings.steps, settings.learning_rate),
        per_device_train_batch_size=1,  # memory: one row's logits at a time
        gradient_accumulation_steps=settings.batch_size,
        max_length=None,
        packing=False,
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(encoded),
        processing_class=tokenizer,
        peft_config=adapter(job, settings.lora_rank),
        callbacks=[_progress(losses, settings.steps, clock)],
    )
    done = train(job, trainer, settings.lora_rank, clock, lambda: f"sft: {len(losses)}/{settings.steps} steps done")
    counted = {
        "steps": len(losses),
        "losses": losses,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "rows": len(encoded),
        "too_long": too_long,
        "tokens": sum(len(row["input_ids"]) for row in encoded),
        "loss_tokens": sum(label != IGNORED for row in encoded for label in row["labels"]),
    }
    return write_result(job, counted | done)


def main() -> None:
    job = read_job(sys.argv[1:], SftJob)
    Path(job.output).mkdir(parents=True, exist_ok=True)
    try:
        result = run(job)
    except JobError as error:
        sys.exit(f"sft: {error}")
    say(f"sft: {result['steps']} steps, loss {result['first_loss']:.4f} -> {result['last_loss']:.4f}")


if __name__ == "__main__":
    main()
