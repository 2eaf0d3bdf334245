"""SFT conversations for LLaMA-Factory: sharegpt JSON, dataset_info.json and an images folder, as in DeepEyesV2.

Roles are system, user and assistant under the tags role and content; observations are user turns as text. LLaMA-Factory
trains on every assistant turn, so worked examples must not be turns: given the policy's tokenizer they are written into
the first user turn in the words of its chat template, which gives exactly the tokens that the policy sees (and ties the
files to that template); without a tokenizer they are left out.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from records.images.store import ImageStore
from training.formats import (
    Digest,
    ExportError,
    Readback,
    check_images,
    compare,
    loader_python,
    read_manifest,
    run_loader,
    write_manifest,
)
from training.rows import SPLITS, SftRow, Turn

KIND = "sft"
NAME = "llamafactory_sharegpt"
LOADER = ("TOUCHSTONE_LLAMAFACTORY_PYTHON", ".venv-llamafactory")
"""Where the trainer's loader runs, as loader_python takes it."""
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_SUFFIX = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


def dataset_name(split: str) -> str:
    """The name of a split in dataset_info.json."""
    return f"touchstone_sft_{split}"


def fold_examples(prompt: Sequence[Turn], tokenizer: Any | None) -> tuple[Turn, ...]:
    """The prompt as an optional system turn and one user turn; see the module's docstring.

    Raises:
        ExportError: the chat template does not put a conversation between a fixed beginning and end.
    """
    system = tuple(turn for turn in prompt[:1] if turn.role == "system")
    rest = prompt[len(system) :]
    if len(rest) == 1 or tokenizer is None:
        return (*system, rest[-1])
    mark = "\x00"
    chat = [{"role": turn.role, "content": turn.text} for turn in prompt]
    frame_chat = [*chat[: len(system)], {"role": "user", "content": mark}]
    frame = tokenizer.apply_chat_template(frame_chat, tokenize=False)
    whole = tokenizer.apply_chat_template(chat, tokenize=False)
    head, _, tail = frame.partition(mark)
    if not (whole.startswith(head) and whole.endswith(tail)):
        raise ExportError("the tokenizer's chat template rewrites turns: worked examples cannot be folded into one")
    images = tuple(image for turn in rest for image in turn.images)
    return (*system, Turn("user", whole[len(head) : len(whole) - len(tail)], images))


def write(
    rows: Iterable[SftRow], folder: Path, *, images: ImageStore | None = None, tokenizer: str | None = None
) -> list[Path]:
    """Write train.json, validation.json, dataset_info.json and, for a policy that sees, images/.

    Raises:
        ExportError: rows hold images and `images` is None, or an image is of no kind that LLaMA-Factory reads.
    """
    loaded = None
    if tokenizer is not None:
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    digests: dict[str, Digest] = {}
    texts: dict[str, Digest] = {}
    copied: dict[str, Path] = {}
    files: dict[str, Any] = {}
    try:
        for split in SPLITS:
            (folder / f"{split}.json").unlink(missing_ok=True)
        for row in rows:
            turns = (*fold_examples(row.prompt, loaded), *row.completion)
            check_images(turns, images)
            names = []
            for image in (image for turn in turns for image in turn.images):
                if image not in copied:
                    copied[image] = _copy_image(image, images, folder)
                names.append(copied[image].relative_to(folder).as_posix())
            record: dict[str, Any] = {"messages": [{"role": t.role, "content": t.text} for t in turns]}
            if images is not None:
                record["images"] = names
            new = row.split not in files
            if new:
                files[row.split] = (folder / f"{row.split}.json").open("w", encoding="utf-8")
            files[row.split].write(("[\n" if new else ",\n") + json.dumps(record, ensure_ascii=False))
            digests.setdefault(row.split, Digest()).add_turns(turns)
            learnt = [("assistant", turn.text.strip()) for turn in row.completion if turn.role == "assistant"]
            texts.setdefault(row.split, Digest()).add(learnt, [])
        for file in files.values():
            file.write("\n]\n")
    finally:
        for file in files.values():
            file.close()
    columns = {"messages": "messages"} | ({"images": "images"} if images is not None else {})
    info = {
        dataset_name(split): {
            "file_name": f"{split}.json",
            "formatting": "sharegpt",
            "columns": columns,
            "tags": TAGS,
        }
        for split in SPLITS
        if split in files
    }
    info_path = folder / "dataset_info.json"
    info_path.write_text(json.dumps(info, indent=2) + "\n")
    learnt_states = {split: digest.state() for split, digest in texts.items()}
    manifest = write_manifest(folder, NAME, {s: d.state() for s, d in digests.items()}, learnt=learnt_states)
    return [*(folder / f"{s}.json" for s in SPLITS if s in files), info_path, *sorted(copied.values()), manifest]


def _copy_image(image: str, images: ImageStore | None, folder: Path) -> Path:
    assert images is not None  # check_images saw to it
    data = images.get(image)
    suffix = next((suffix for magic, suffix in _SUFFIX.items() if data.startswith(magic)), None)
    if suffix is None:
        raise ExportError(f"image {image}: not PNG, JPEG, GIF, WebP or BMP")
    path = folder / "images" / image[:2] / (image + suffix)
    if not path.exists() or path.stat().st_size != len(data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path


def read_back(folder: Path, *, tokenizer: str | None = None, template: str = "qwen") -> Readback:
    """Read with LLaMA-Factory's get_dataset in its own environment, when that is there, else check the structure.

    Args:
        tokenizer: folder of the policy's tokenizer.
        template: LLaMA-Factory's name for the policy's chat template.

    Raises:
        ExportError: the loader failed, returned other rows than were written, or puts loss on other text than the
            assistant turns of the completions.
    """
    manifest = read_manifest(folder, NAME)
    splits = manifest["splits"]
    python = loader_python(*LOADER)
    if python is None or tokenizer is None:
        rows = compare(folder, {split: _structure(folder, split) for split in splits}, splits)
        missing = "run scripts/loaders" if python is None else "give a tokenizer"
        return Readback(rows, f"structure only (to read with LLaMA-Factory's own loader: {missing})")
    if not splits:
        return Readback(0, "nothing to read")
    request = {
        "folder": str(folder),
        "datasets": {split: dataset_name(split) for split in splits},
        "tokenizer": tokenizer,
        "template": template,
    }
    found = run_loader(python, "_llamafactory_loader.py", request)
    rows = compare(folder, found["splits"], splits)
    try:
        compare(folder, found["learnt"], manifest["learnt"])
    except ExportError as error:
        raise ExportError(f"{error} (compared: the text that carries loss)") from None
    return Readback(rows, found["loader"], found["loss_tokens"])


def _structure(folder: Path, split: str) -> dict[str, Any]:
    """What the file holds, by the rules of LLaMA-Factory's sharegpt converter."""

    info = json.loads((folder / "dataset_info.json").read_text()).get(dataset_name(split))
    if info is None:
        raise ExportError(f"{folder}: dataset_info.json does not name {dataset_name(split)}")
    digest = Digest()
    for position, row in enumerate(json.loads((folder / info["file_name"]).read_text(encoding="utf-8"))):
        turns = [(turn["role"], turn["content"]) for turn in row["messages"]]
        rest = turns[1:] if turns and turns[0][0] == "system" else turns
        if len(rest) % 2 or any(role != ("user", "assistant")[n % 2] for n, (role, _) in enumerate(rest)):
            raise ExportError(f"{folder}: {split}: row {position}: turns do not alternate")
        names = row.get("images", [])
        if sum(text.count("<image>") for _, text in turns) != len(names):
            raise ExportError(f"{folder}: {split}: row {position}: placeholders and images differ in number")
        digest.add(turns, [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names])
    return digest.state()
