"""The table that a rollout stage hands on: whole rollouts, in the order of the questions, never all in memory."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from measurement.progress import ArmProgress
from records.tables import SCHEMA_VERSION, VERSION_KEY, TableFile
from rollouts.ledger.ledger import Ledger

MEMORY = "1GB"
"""What sorting may hold in memory; the rest goes to disk."""
DAY_S = 24 * 3600.0


def export(ledger: Ledger, progresses: Sequence[ArmProgress], unfinished: pl.DataFrame, folder: Path) -> TableFile:
    """Write the rollouts that count in these arms, with their current verdicts, and then those that stayed unfinished.

    Args:
        unfinished: a table of rollouts too.
        folder: where to write it, with room for the table twice; what killed runs left there a day ago is removed.
    """
    for left in folder.iterdir():
        if time.time() - left.stat().st_mtime > DAY_S:
            shutil.rmtree(left, ignore_errors=True)
    current = ["rollout_id", "correct", "verdict", "judged_with"]
    counted = pl.concat([progress.used.select(current) for progress in progresses]).with_row_index("position")
    unfinished = unfinished.join(counted, on="rollout_id", how="anti")  # another run may have finished it meanwhile
    # evidence is part of a setting: what is too much here is left out below
    wanted = pl.any_horizontal(
        (pl.col("arm") == progress.arm.name)
        & pl.col("model_fingerprint").is_in(progress.settings["model_fingerprint"].unique().implode())
        if progress.arm.form.prefilled == "evidence"
        else pl.col("setting").is_in(progress.settings["setting"].implode())
        for progress in progresses
    )
    place = Path(tempfile.mkdtemp(dir=folder))
    gathered, target = place / "gathered.parquet", place / "table.parquet"
    with pq.ParquetWriter(gathered, _arrow(unfinished.clear()).schema, compression="zstd") as writer:
        for batch in ledger.full(wanted):
            writer.write_table(_arrow(batch))
        writer.write_table(_arrow(unfinished))
    columns = [
        f"coalesce(counted.{name}, rollouts.{name}) AS {name}" if name in current[1:] else f"rollouts.{name}"
        for name in unfinished.columns
    ]
    with duckdb.connect() as database:
        database.execute(
            f"SET memory_limit = '{MEMORY}'; SET temp_directory = '{place}/sorting'; SET enable_progress_bar = false"
        )
        database.register("counted", _arrow(counted))
        database.read_parquet(str(gathered), file_row_number=True).create_view("gathered")
        database.execute(
            # two runs may both have finished a rollout: the first counts, as in the progress of its arm
            "COPY (WITH once AS (SELECT min(file_row_number) AS row FROM gathered GROUP BY rollout_id) "
            f"SELECT {', '.join(columns)} FROM gathered AS rollouts JOIN once ON row = rollouts.file_row_number "
            "LEFT JOIN counted ON counted.rollout_id = rollouts.rollout_id "
            "WHERE counted.position IS NOT NULL OR rollouts.stop_reason = 'unfinished' "
            "ORDER BY counted.position NULLS LAST, rollouts.question_id, rollouts.sample_index) "
            f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{'{VERSION_KEY}': '{SCHEMA_VERSION}'}})"
        )
    gathered.unlink()
    shutil.rmtree(place / "sorting", ignore_errors=True)
    return TableFile(target)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
