"""RL questions for verl: one parquet file a split, read by its RLHFDataset.

Columns: data_source, prompt (turns with `<image>`), images (bytes), ability, reward_model {style, ground_truth},
extra_info {split, index, question_id, ...}, agent_name. Every row has the same keys, scalars only: a struct that
varies by row would be padded with nulls. `training.reward.compute_score` reads what it needs from extra_info.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from records.identity import canonical_json
from records.images.store import ImageStore
from training.formats import (
    Digest,
    Readback,
    check_images,
    compare,
    loader_python,
    read_manifest,
    run_loader,
    write_manifest,
)
from training.formats._parquet import IMAGES, TEXT_TURNS, SplitWriter, image_cells, text_turns
from training.rows import RlRow

KIND = "rl"
NAME = "verl_parquet"
LOADER = ("TOUCHSTONE_VERL_PYTHON", ".venv-verl")
"""Where the trainer's loader runs, as loader_python takes it."""
AGENT = "tool_agent"
"""verl's multi-turn agent loop; which tools it has, and how it reads calls, is verl's own configuration."""

_TEXTS = ("split", "question_id", "question", "answer", "answer_type", "aliases", "choices", "task", "dialect", "tools",
          "seed")  # fmt: skip
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", TEXT_TURNS),
        ("images", IMAGES),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), *((name, pa.string()) for name in _TEXTS)])),
        ("agent_name", pa.string()),
    ]
)


def write(
    rows: Iterable[RlRow], folder: Path, *, images: ImageStore | None = None, tokenizer: str | None = None
) -> list[Path]:
    """Write train.parquet and validation.parquet; a split without rows gets no file.

    Raises:
        ExportError: rows hold images and `images` is None.
    """
    writer, digests = SplitWriter(folder, SCHEMA), {}
    for row in rows:
        check_images(row.prompt, images)
        question = row.question
        cells, size = image_cells(row.prompt, images)
        extra = {
            "index": row.index,
            "split": row.split,
            "question_id": question.question_id,
            "question": question.model_dump_json(),
            "answer": question.answer,
            "answer_type": question.answer_type,
            "aliases": canonical_json(question.aliases),
            "choices": canonical_json(question.choices),
            "task": question.task,
            "dialect": row.dialect,
            "tools": canonical_json(row.tools),
            "seed": str(row.seed),
        }
        record = {
            "data_source": f"touchstone/{question.source}",
            "prompt": text_turns(row.prompt),
            "images": cells,
            "ability": question.task,
            "reward_model": {"style": "rule", "ground_truth": question.answer},
            "extra_info": extra,
            "agent_name": AGENT,
        }
        writer.add(row.split, record, size)
        digests.setdefault(row.split, Digest()).add_turns(row.prompt)
    paths = writer.close()
    manifest = write_manifest(folder, NAME, {split: digest.state() for split, digest in digests.items()})
    return [*paths, manifest]


def read_back(folder: Path, *, tokenizer: str | None = None) -> Readback:
    """Read with verl's RLHFDataset in its own environment, when that is there, else check the structure.

    Args:
        tokenizer: folder of the policy's tokenizer: the prompts are put through its chat template.

    Raises:
        ExportError: the loader failed, or returned other rows than were written.
    """
    splits = read_manifest(folder, NAME)["splits"]
    python = loader_python(*LOADER)
    if python is None or tokenizer is None:
        rows = compare(folder, {split: _structure(folder / f"{split}.parquet") for split in splits}, splits)
        missing = "run scripts/loaders" if python is None else "give a tokenizer"
        return Readback(rows, f"structure only (to read with verl's own loader: {missing})")
    files = {split: str(folder / f"{split}.parquet") for split in splits}
    found = run_loader(python, "_verl_loader.py", {"files": files, "tokenizer": tokenizer})
    return Readback(compare(folder, found["splits"], splits), found["loader"])


def _structure(path: Path) -> dict[str, object]:
    digest = Digest()
    for batch in pq.ParquetFile(path).iter_batches(batch_size=16, columns=["prompt", "images"]):
        for row in batch.to_pylist():
            turns = [(turn["role"], turn["content"]) for turn in row["prompt"]]
            digest.add(turns, [hashlib.sha256(cell["bytes"]).hexdigest() for cell in row["images"]])
    return digest.state()
