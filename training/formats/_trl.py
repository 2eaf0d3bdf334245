"""What the two TRL formats share: schemas and rows as TRL takes them, and reading back through TRL's preparation."""

import hashlib
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from records.images.store import ImageStore
from training.formats import Digest, ExportError, Readback, compare, read_manifest
from training.formats._parquet import TEXT_TURNS, image_cells, text_turns
from training.rows import PLACEHOLDER, Turn


def trl_schema(turn_columns: Sequence[str], text_columns: Sequence[str], with_images: bool) -> pa.Schema:
    """Turns with text, or, for a policy that sees, with content blocks and a column of images.

    An images column makes TRL take a dataset for a vision one, even when no row has any, so it is there only when
    asked for. Blocks are needed then: TRL puts the images of plain-text turns before the first user text.
    """
    if not with_images:
        return pa.schema([*((c, TEXT_TURNS) for c in turn_columns), *((c, pa.string()) for c in text_columns)])
    from datasets import Features, Image, List, Value

    turns = List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})
    columns = {c: turns for c in turn_columns} | {c: Value("string") for c in text_columns}
    return Features(columns | {"images": List(Image())}).arrow_schema


def trl_turns(turns: Sequence[Turn], with_images: bool) -> list[dict[str, Any]]:
    if not with_images:
        return text_turns(turns)
    return [{"role": turn.role, "content": _blocks(turn.text)} for turn in turns]


def trl_images(turns: Sequence[Turn], images: ImageStore | None) -> tuple[dict[str, Any], int]:
    """The images column of a row, when there is one, and its size in bytes."""
    if images is None:
        return {}, 0
    cells, size = image_cells(turns, images)
    return {"images": [{"bytes": cell["bytes"], "path": None} for cell in cells]}, size


def _blocks(text: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for position, piece in enumerate(text.split(PLACEHOLDER)):
        if position:
            parts.append({"type": "image", "text": None})
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(PLACEHOLDER if block["type"] == "image" else block["text"] for block in content)


def read_back_trl(folder: Path, name: str, turn_columns: Sequence[str], tokenizer: str | None) -> Readback:
    """Load with `datasets`, take TRL's view of every row, and compare with what was written."""
    from datasets import Image, List, load_dataset
    from trl.data_utils import apply_chat_template, is_conversational, prepare_multimodal_messages

    template = None
    if tokenizer is not None:
        from transformers import AutoTokenizer

        template = AutoTokenizer.from_pretrained(tokenizer)
    splits = read_manifest(folder, name)["splits"]
    found, loss_tokens, decoded = {}, 0, 0
    for split in splits:
        digest = Digest()
        with tempfile.TemporaryDirectory() as cache:
            try:
                data = load_dataset(
                    "parquet", data_files={split: str(folder / f"{split}.parquet")}, split=split, cache_dir=cache
                )
            except Exception as error:  # whatever `datasets` makes of a file that is not what it seems
                raise ExportError(f"{folder}: {split}: datasets cannot load it: {error}") from error
            stored = data.cast_column("images", List(Image(decode=False))) if "images" in data.column_names else None
            for position, row in enumerate(data):
                if not is_conversational(row):
                    raise ExportError(f"{folder}: {split}: row {position} is not conversational for TRL")
                turns = [turn for column in turn_columns for turn in row[column]]
                hashes = []
                if stored is not None:
                    cells = stored[position]["images"]
                    hashes = [hashlib.sha256(cell["bytes"]).hexdigest() for cell in cells]
                    prepare_multimodal_messages(turns, images=row["images"])  # raises on a wrong count
                    decoded += len(hashes)
                elif template is not None:
                    rendered = apply_chat_template({c: row[c] for c in turn_columns}, template)
                    if "completion" in rendered:
                        from training.masking import encode

                        ids, labels = encode(row["prompt"], row["completion"], template)
                        whole = template(rendered["prompt"] + rendered["completion"], add_special_tokens=False)
                        if whole["input_ids"] != ids:
                            raise ExportError(f"{folder}: {split}: row {position}: TRL's tokens differ from the job's")
                        loss_tokens += sum(label != -100 for label in labels)
                digest.add([(turn["role"], _text(turn["content"])) for turn in turns], hashes)
        found[split] = digest.state()
    how = f", {decoded} images decoded" if decoded else ", through the chat template" if template else ""
    loader = f"datasets {version('datasets')} and TRL {version('trl')} data preparation{how}"
    return Readback(compare(folder, found, splits), loader, loss_tokens or None)
