"""Runs in LLaMA-Factory's environment, not in ours: loads and tokenises datasets with its get_dataset, prints JSON."""

import contextlib
import hashlib
import importlib.machinery
import json
import sys
import tempfile
import types

ENVIRONMENT = "llamafactory"
"""The name of the environment: scripts/loaders makes .venv-llamafactory."""
REQUIRES = (
    "llamafactory==0.9.5", "transformers>=4.57.1,<=5.6.0", "datasets<=4.0.0", "peft>=0.18,<=0.18.1", "trl<=0.24",
    "accelerate<=1.11", "omegaconf", "pandas", "pillow", "pyyaml", "scipy", "sentencepiece",
)  # fmt: skip
"""The packages of the environment; the first is installed without the requirements that it declares."""


def stub_media_libraries() -> None:
    """Stand-ins for torchvision and torchaudio, when they are not installed.

    LLaMA-Factory imports both at the top of its modules, and uses them only for video and sound, which an export never
    holds; the published wheels are linked against CUDA and do not import beside a CPU build of torch.
    """
    from importlib.util import find_spec

    for name in ("torchvision", "torchaudio"):
        if find_spec(name) is None:
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
            module.__version__ = "0.0"
            sys.modules[name] = module


def digest(rows: list) -> dict:
    value = hashlib.sha256()
    for row in rows:
        value.update(json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
    return {"rows": len(rows), "digest": value.hexdigest()}


def segments(labels: list[int], tokenizer: object) -> list[list[str]]:
    """The runs of tokens that carry loss, as text."""
    runs, current = [], []
    for label in [*labels, -100]:
        if label != -100:
            current.append(label)
        elif current:
            runs.append(["assistant", tokenizer.decode(current, skip_special_tokens=False)])
            current = []
    return runs


def arguments(request: dict, name: str, output: str) -> dict:
    """What LLaMA-Factory is started with to prepare the dataset `name`; `output` is a folder for what it leaves."""
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": request["tokenizer"],
        "dataset": name,
        "dataset_dir": request["folder"],
        "template": request["template"],
        "cutoff_len": 1 << 20,
        "output_dir": output,
        "cache_dir": output,
        "overwrite_cache": True,
        "use_cpu": True,
        "report_to": "none",
    }


def row_of(aligned: dict, template: object) -> list:
    """[[[role, text], ...], hashes of images] of a row as LLaMA-Factory's converter returns it; its images are read
    and checked as LLaMA-Factory does it."""
    turns = [["system", aligned["_system"]]] if aligned["_system"] else []
    turns += [[turn["role"], turn["content"]] for turn in [*aligned["_prompt"], *aligned["_response"]]]
    paths, hashes = aligned["_images"] or [], []
    for path in paths:
        with open(path, "rb") as file:
            hashes.append(hashlib.sha256(file.read()).hexdigest())
    if paths:
        messages = [{"role": r, "content": c} for r, c in turns]
        template.mm_plugin._validate_messages(messages, paths, [], [])
        template.mm_plugin._regularize_images(paths, image_max_pixels=768 * 768, image_min_pixels=1)
    return [turns, hashes]


def unexpanded_labels(turns: list, template: object, tokenizer: object) -> list[int]:
    """The labels of a conversation whose image placeholders stay as they are."""
    system = turns[0][1] if turns[0][0] == "system" else None
    messages = [{"role": r, "content": c} for r, c in turns if r != "system"]
    pairs = template.encode_multiturn(tokenizer, messages, system)
    return [label for ask, reply in pairs for label in [-100] * len(ask) + reply]


def read_split(request: dict, name: str, output: str) -> dict:
    """The rows of one split, its labels, and how it was read."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.data.loader import _get_merged_dataset
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model_args, data_args, training_args, _, _ = get_train_args(arguments(request, name, output))
    loaded = load_tokenizer(model_args)
    tokenizer = loaded["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    # The converter skips a row it finds abnormal with a warning, leaving an empty one: found by the digest.
    aligned = _get_merged_dataset([name], model_args, data_args, training_args, "sft")
    rows = [row_of(row, template) for row in aligned]
    images = sum(len(hashes) for _, hashes in rows)
    sees = loaded["processor"] is not None and hasattr(loaded["processor"], "image_processor")
    if images == 0 or sees:
        dataset = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)
        labels = [row["labels"] for row in dataset["train_dataset"]]
    else:
        # A text tokenizer's folder has no image processor.
        labels = [unexpanded_labels(turns, template, tokenizer) for turns, _ in rows]
    learnt = [[[[r, end_cut(text, tokenizer)] for r, text in segments(row, tokenizer)], []] for row in labels]
    tokens = sum(label != -100 for row in labels for label in row)
    return {"rows": digest(rows), "learnt": digest(learnt), "loss_tokens": tokens, "images": images, "sees": sees}


def read(request: dict) -> dict:
    """What the loader returns for each split, counted and hashed."""
    # transformers looks at what is installed while it is imported, so it must come before the stand-ins.
    import transformers  # noqa: F401

    stub_media_libraries()
    from importlib.metadata import version

    found = {}
    for split, name in request["datasets"].items():
        with tempfile.TemporaryDirectory() as output:
            found[split] = read_split(request, name, output)
    loader = f"LLaMA-Factory {version('llamafactory')} get_dataset, template {request['template']}"
    if images := sum(part["images"] for part in found.values()):
        sees = all(part["sees"] for part in found.values())
        expanded = "" if sees else ", not expanded to image tokens (the tokenizer has no image processor)"
        loader += f", {images} images opened{expanded}"
    return {
        "splits": {split: part["rows"] for split, part in found.items()},
        "learnt": {split: part["learnt"] for split, part in found.items()},
        "loss_tokens": sum(part["loss_tokens"] for part in found.values()),
        "loader": loader,
    }


def end_cut(text: str, tokenizer: object) -> str:
    """A learnt turn without the token that ends it."""
    return text.rstrip().removesuffix(tokenizer.eos_token or "").strip()


def main() -> None:
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):  # the loader prints; stdout is for the result
        result = read(request)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
