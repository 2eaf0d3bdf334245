"""What the training jobs share: the job file, the model with its adapter, progress, and the result."""

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from records.heartbeat import Clock, Heartbeat
from records.recipe.section import explain

LORA_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class JobError(RuntimeError):
    """The job cannot run as asked."""


class Job(BaseModel):
    """What every training job needs to know."""

    model_config = ConfigDict(extra="forbid")

    model: str
    """Folder of the model to train, with its tokenizer."""
    data: str
    """Parquet file of the training set."""
    output: str
    """Folder that gets adapter/ (or model/, when all weights are trained), model/ with `merge`, and result.json."""
    seed: int = 0
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """The number format of the frozen weights; the adapter is always float32."""
    lora_alpha: int | None = None
    """Twice the rank when not given."""
    gradient_checkpointing: bool = False
    """Less memory for about a third more time."""
    merge: bool = True
    """Also save the model with the adapter merged in, for a server."""
    use_cpu: bool | None = None
    """None: use a GPU when there is one."""


J = TypeVar("J", bound=Job)


def read_job(arguments: list[str], model: type[J]) -> J:
    """The job in the file that the command line names; exits with a message when it is not a job."""
    # Threads of torch that wait without sleeping make every other process on a busy CPU several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if len(arguments) != 1:
        sys.exit("usage: python -m training.sft|training.rl JOB.json")
    try:
        return model.model_validate_json(Path(arguments[0]).read_text())
    except FileNotFoundError:
        sys.exit(f"{arguments[0]}: there is no such job file")
    except ValidationError as error:
        sys.exit(explain(error, model, arguments[0]))


def say(text: str) -> None:
    print(text, flush=True)


def load(job: Job) -> tuple[Any, Any]:
    """The model and its tokenizer, which has a padding token afterwards."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=getattr(torch, job.dtype))
    return model, tokenizer


def adapter(job: Job, rank: int | None) -> Any:
    """The LoRA configuration, or None when all weights are trained."""
    if rank is None:
        return None
    from peft import LoraConfig

    alpha = job.lora_alpha or 2 * rank
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(LORA_MODULES), task_type="CAUSAL_LM")


def trainer_settings(job: Job, steps: int, learning_rate: float) -> dict[str, Any]:
    """Settings that both trainers get."""
    import torch

    on_cpu = job.use_cpu if job.use_cpu is not None else not torch.cuda.is_available()
    return {
        "output_dir": str(Path(job.output) / "trainer"),
        "max_steps": steps,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "constant",
        "seed": job.seed,
        "use_cpu": on_cpu,
        # The weights are already in the job's dtype: no autocast on top.
        "bf16": False,
        "gradient_checkpointing": job.gradient_checkpointing,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
    }


def save(trainer: Any, tokenizer: Any, job: Job, rank: int | None) -> dict[str, str]:
    """Save the checkpoint; name -> folder."""
    output = Path(job.output)
    saved = {}
    if rank is not None:
        saved["adapter"] = str(output / "adapter")
        trainer.save_model(saved["adapter"])
    if rank is None or job.merge:
        saved["model"] = str(output / "model")
        model = trainer.accelerator.unwrap_model(trainer.model)
        model = model.merge_and_unload() if rank is not None else model
        model.save_pretrained(saved["model"])
        tokenizer.save_pretrained(saved["model"])
    return saved


def train(job: Job, trainer: Any, rank: int | None, clock: Clock, line: Callable[[], str]) -> dict[str, Any]:
    """Train to the end and save the checkpoint.

    Args:
        rank: of the LoRA adapter; None when all weights are trained.
        clock: began with the job.
        line: says how far the job is; said now and then while it runs.

    Returns:
        The entries of the result that all jobs have: `seconds` and `saved`.
    """
    with Heartbeat(lambda: f"{line()}, {clock.seconds} s", say):
        trainer.train()
        saved = save(trainer, trainer.processing_class, job, rank)
    return {"seconds": clock.seconds, "saved": saved}


def write_result(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """Write result.json, which is there only when the job is done. Returns the result."""
    path = Path(job.output) / "result.json"
    part = path.with_suffix(".tmp")
    part.write_text(json.dumps(result | {"peak_memory_gib": peak_memory_gib()}, indent=1) + "\n")
    part.replace(path)
    return result


def peak_memory_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
