"""Runs in verl's environment, not in ours: reads parquet files with RLHFDataset and prints what it returned as JSON."""

import contextlib
import hashlib
import json
import sys
import tempfile
from types import SimpleNamespace

ENVIRONMENT = "verl"
"""The name of the environment: scripts/loaders makes .venv-verl."""
REQUIRES = (
    "verl==0.9.1", "transformers>=5.5.3,<5.11,!=5.6.0", "tensordict>=0.8,<=0.10,!=0.9.0", "ray>=2.41", "hydra-core",
    "datasets", "pandas", "pillow", "codetiming", "cachetools", "fastapi", "uvicorn",
)  # fmt: skip
"""The packages of the environment; the first is installed without the requirements that it declares. The last four are
what verl's agent loop imports (docs/rl-tools.md)."""


def main() -> None:
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):  # the loader prints; stdout is for the result
        result = read(request)
    print(json.dumps(result))


def read(request: dict) -> dict:
    from importlib.metadata import version

    from omegaconf import OmegaConf
    from transformers import AutoTokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset

    tokenizer = AutoTokenizer.from_pretrained(request["tokenizer"])
    splits, seen = {}, 0
    for split, path in request["files"].items():
        with tempfile.TemporaryDirectory() as cache:
            # RLHFDataset drops what it thinks too long or cannot read, with a printed traceback: compared by count.
            config = OmegaConf.create({"cache_dir": cache, "max_prompt_length": 1 << 20, "return_raw_chat": True})
            dataset = RLHFDataset(path, tokenizer, OmegaConf.merge(config, {"filter_overlong_prompts": False}))
            has_images = any(dataset.dataframe["images"])
            if not has_images:
                dataset = RLHFDataset(path, tokenizer, config)
            else:
                # It asserts that there is a processor before it puts images into the turns, and leaves processing to
                # the agent loop; a text tokenizer's folder has none.
                dataset.processor = SimpleNamespace(tokenizer=tokenizer)
            digest = hashlib.sha256()
            for position in range(len(dataset)):
                row = dataset[position]
                turns, images = [], []
                for message in row["raw_prompt"]:
                    text = message["content"]
                    if not isinstance(text, str):
                        text = "".join("<image>" if b["type"] == "image" else b["text"] for b in message["content"])
                        for block in message["content"]:
                            if block["type"] == "image":
                                block["image"].load()
                                images.append(hashlib.sha256(block["bytes"]).hexdigest())
                    turns.append([message["role"], text])
                assert row["reward_model"]["ground_truth"] and row["extra_info"]["question_id"], "no ground truth"
                line = json.dumps([turns, images], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                digest.update(line.encode() + b"\n")
                seen += len(images)
            splits[split] = {"rows": len(dataset), "digest": digest.hexdigest()}
    images = f", {seen} images decoded" if seen else ", prompts through the chat template"
    return {"splits": splits, "loader": f"verl {version('verl')} RLHFDataset{images}"}


if __name__ == "__main__":
    main()
