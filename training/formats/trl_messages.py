"""SFT conversations for TRL: one parquet file a split, as conversational prompt and completion.

Not as one `messages` list: that would train on the worked examples in the prompt. With prompt and completion TRL
trains on the completion only; observations inside it are left out by `assistant_only_loss` (or by training/sft.py's
own mask). Images, when the policy sees them, are in `images`, in the order of their `<image>` placeholders.
"""

from collections.abc import Iterable
from pathlib import Path

from records.images.store import ImageStore
from training.formats import Digest, Readback, check_images, write_manifest
from training.formats._parquet import SplitWriter
from training.formats._trl import read_back_trl, trl_images, trl_schema, trl_turns
from training.rows import SftRow

KIND = "sft"
NAME = "trl_messages"
TURNS = ("prompt", "completion")


def write(
    rows: Iterable[SftRow], folder: Path, *, images: ImageStore | None = None, tokenizer: str | None = None
) -> list[Path]:
    """Write train.parquet and validation.parquet; a split without rows gets no file.

    Raises:
        ExportError: rows hold images and `images` is None.
    """
    schema = trl_schema(TURNS, (), images is not None)
    writer, digests = SplitWriter(folder, schema), {}
    for row in rows:
        turns = (*row.prompt, *row.completion)
        check_images(turns, images)
        cells, size = trl_images(turns, images)
        record = {
            "prompt": trl_turns(row.prompt, images is not None),
            "completion": trl_turns(row.completion, images is not None),
        }
        writer.add(row.split, record | cells, size)
        digests.setdefault(row.split, Digest()).add_turns(turns)
    paths = writer.close()
    return [*paths, write_manifest(folder, NAME, {split: digest.state() for split, digest in digests.items()})]


def read_back(folder: Path, *, tokenizer: str | None = None) -> Readback:
    """Read with `datasets`, put every row through TRL's own preparation, and count the tokens that carry loss.

    Raises:
        ExportError: TRL does not take a row, or other rows come back than were written.
    """
    return read_back_trl(folder, NAME, TURNS, tokenizer)
