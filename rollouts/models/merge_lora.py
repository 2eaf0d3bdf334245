"""A LoRA adapter merged into its base model, so that it is served at the base model's speed.

vLLM can also serve adapters beside the base, which costs little on a GPU. Its fallback for a CPU copies the adapter's
matrices for every token, and is many times slower than a merged model.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from records.identity import content_hash
from rollouts.models.packaged_weights import WeightsError
from rollouts.models.weights import ModelFiles, default_cache, identity_of_directory


def merged(base: ModelFiles, adapter: Path, cache: Path | None = None) -> ModelFiles:
    """The model that `adapter` (a PEFT directory) makes of `base`; kept in `cache` under the identity of both.

    Takes some seconds and, in a process of its own, memory for about twice the weights.

    Raises:
        WeightsError: the adapter cannot be read or does not fit the base.
    """
    if not (adapter / "adapter_config.json").is_file() or not list(adapter.glob("adapter_model.*")):
        raise WeightsError(
            f"{adapter} cannot be merged into {base.path}: it is not a PEFT adapter, for it lacks "
            "adapter_config.json or adapter_model.safetensors"
        )
    cache = cache or default_cache()
    identity = content_hash({"base": base.identity, "adapter": identity_of_directory(adapter, cache)})
    target = cache / "merged" / identity
    if not target.is_dir():
        made = target.with_name(f"{identity}.{os.getpid()}.tmp")
        command = [sys.executable, "-m", "rollouts.models.merge_lora", str(base.path), str(adapter), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
        if done.returncode:
            shutil.rmtree(made, ignore_errors=True)
            raise WeightsError(f"{adapter} cannot be merged into {base.path}:\n{done.stderr.strip()[-1500:]}")
        if not target.is_dir():  # another process may have been faster
            made.replace(target)
        shutil.rmtree(made, ignore_errors=True)
    return ModelFiles(target, identity)


def merge(base: str, adapter: str, target: str) -> None:
    """Write the merged model, in the base's number format, with the base's tokenizer and chat template."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), adapter)
    model.merge_and_unload(safe_merge=True).save_pretrained(target)
    AutoTokenizer.from_pretrained(base).save_pretrained(target)


if __name__ == "__main__":
    merge(*sys.argv[1:])
