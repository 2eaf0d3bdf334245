"""RL prompts for TRL's GRPOTrainer: one parquet file a split.

Columns: prompt (conversational), images (only when the policy sees them), and columns that reach the reward function
and the environment: question (the Question as JSON text), dialect, tools (JSON text), seed (of the tools' sessions).
"""

from collections.abc import Iterable
from pathlib import Path

from records.identity import canonical_json
from records.images.store import ImageStore
from training.formats import Digest, Readback, check_images, write_manifest
from training.formats._parquet import SplitWriter
from training.formats._trl import read_back_trl, trl_images, trl_schema, trl_turns
from training.rows import RlRow

KIND = "rl"
NAME = "trl_prompts"
TURNS = ("prompt",)
TEXTS = ("question", "dialect", "tools", "seed")


def write(
    rows: Iterable[RlRow], folder: Path, *, images: ImageStore | None = None, tokenizer: str | None = None
) -> list[Path]:
    """Write train.parquet and validation.parquet; a split without rows gets no file.

    Raises:
        ExportError: rows hold images and `images` is None.
    """
    schema = trl_schema(TURNS, TEXTS, images is not None)
    writer, digests = SplitWriter(folder, schema), {}
    for row in rows:
        check_images(row.prompt, images)
        cells, size = trl_images(row.prompt, images)
        record = {
            "prompt": trl_turns(row.prompt, images is not None),
            "question": row.question.model_dump_json(),
            "dialect": row.dialect,
            "tools": canonical_json(row.tools),
            "seed": str(row.seed),
        }
        writer.add(row.split, record | cells, size)
        digests.setdefault(row.split, Digest()).add_turns(row.prompt)
    paths = writer.close()
    return [*paths, write_manifest(folder, NAME, {split: digest.state() for split, digest in digests.items()})]


def read_back(folder: Path, *, tokenizer: str | None = None) -> Readback:
    """Read with `datasets` and put every row through TRL's own preparation.

    Raises:
        ExportError: TRL does not take a row, or other rows come back than were written.
    """
    return read_back_trl(folder, NAME, TURNS, tokenizer)
