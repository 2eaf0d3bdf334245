"""Near duplicates of question texts, ours and others': `python -m benchmarks.questions.text [--rows 1000000]`.

On benchmarks/questions/synthetic.py, at a tenth of the rows and at all of them, every system in a process of its own:
from a polars column of texts in memory to a decision for every row whether it goes. Counted are normalising, tokens and
all of the system's own work; not counted are imports and a warm-up on 1,000 texts (where ours loads its compiled code).
All cores of the machine are free to all.

recall: share of the planted near duplicates that go. precision: share of the rows that go which are planted near
duplicates; plants_precision: the same among the planted rows alone (near duplicates, another number, another thing).

Peers (the ones that take texts or token sets in memory), with settings that reach the recall at the least cost:
- rensa (Rust): sets of words, R-MinHash; RMinHashDeduplicator compares a row's sketch with those of the rows kept;
- rensa, candidates only: its fastest call. It marks every row that shares a band with any other, both of a pair, and
  compares nothing, so it does not say which row goes; here for scale, and not what the ratio is against;
- gaoya (Rust): sets of words, index and query of all texts at once; a row goes if it is like any earlier one;
- datasketch (Python and numpy): sets of words, sketches in bulk, one query a row.
At all the rows only the best of a tenth with the recall reached runs, and rensa's candidates.

Left out: datatrove (writes four stages to disk, for many machines), text-dedup (scripts over files, of Python 3.12),
daft (sketches only, the join is the user's), semhash (embeddings of a model, another job).
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.questions import synthetic as synthetic_questions

INSTALL = "pip install 'rensa==0.5.0' 'gaoya==0.2.2' 'datasketch==2.0.0'"
THRESHOLD = 0.8
RECALL, FASTER = 0.95, 3.0
"""What both must reach, and how many times as fast as the best peer ours is to be."""

Flags = Sequence[bool] | np.ndarray


def ours(texts: pl.Series) -> Flags:
    from filters.duplicates import near as near_duplicates
    from filters.duplicates.keep_oldest import keep_first

    one_group = pl.repeat(0, len(texts), eager=True, dtype=pl.Int64)
    pairs = near_duplicates.pairs(texts, one_group, THRESHOLD)
    return keep_first(pairs["left"].to_numpy(), pairs["right"].to_numpy(), len(texts)) >= 0


def _words(texts: pl.Series) -> list[list[str]]:
    """Lower case and without punctuation, by all cores."""
    return texts.str.to_lowercase().str.extract_all(r"\w+").to_list()


def rensa(texts: pl.Series) -> Flags:
    from rensa import RMinHash, RMinHashDeduplicator  # pyright: ignore[reportMissingImports]

    sketches = RMinHash.from_token_sets(_words(texts), 64, 42)
    kept = RMinHashDeduplicator(0.45, 64, True, 16, 42).add_pairs([(str(i), one) for i, one in enumerate(sketches)])
    return [not one for one in kept]


def rensa_candidates(texts: pl.Series) -> Flags:
    from rensa import RMinHash, RMinHashLSH  # pyright: ignore[reportMissingImports]

    sketches = RMinHash.digest_matrix_from_token_sets(_words(texts), 64, 42)
    return RMinHashLSH(THRESHOLD, 64, 8).query_duplicate_flags_matrix_one_shot(sketches)


def gaoya(texts: pl.Series) -> Flags:
    from gaoya.minhash import MinHashStringIndex  # pyright: ignore[reportMissingImports]

    plain = texts.str.to_lowercase().str.replace_all(r"[^\w\s]+", " ").to_list()
    index = MinHashStringIndex(
        hash_size=32, jaccard_threshold=0.65, num_bands=10, band_size=6, num_hashes=60, analyzer="word",
        lowercase=False, ngram_range=(1, 1),
    )  # fmt: skip
    index.par_bulk_insert_docs(list(range(len(plain))), plain)
    return [min(found, default=row) < row for row, found in enumerate(index.par_bulk_query(plain))]


def datasketch(texts: pl.Series) -> Flags:
    from datasketch import MinHash, MinHashLSH  # pyright: ignore[reportMissingImports]

    sketches = MinHash.bulk([[word.encode() for word in words] for words in _words(texts)], num_perm=64)
    index, goes = MinHashLSH(num_perm=64, params=(16, 4)), []
    for row, sketch in enumerate(sketches):
        goes.append(any(sketches[other].jaccard(sketch) >= 0.45 for other in index.query(sketch)))
        if not goes[-1]:
            index.insert(row, sketch, check_duplication=False)
    return goes


SYSTEMS: dict[str, tuple[Callable[[pl.Series], Flags], str, str]] = {
    "ours": (ours, "numba", f"shingles of 3 bytes, similarity {THRESHOLD}, same words; verified exactly"),
    "rensa": (rensa, "rensa", "words, 64 hashes, 16 bands, similarity of sketches 0.45"),
    "rensa, candidates only": (rensa_candidates, "rensa", "words, 64 hashes, 8 bands, nothing compared"),
    "gaoya": (gaoya, "gaoya", "words, 10 bands of 6, similarity of sketches 0.65"),
    "datasketch": (datasketch, "datasketch", "words, 16 bands of 4, similarity of sketches 0.45"),
}
COMPARED = ("rensa", "gaoya", "datasketch")
"""Peers that do the same job: say for each row whether it duplicates an earlier one that they compared it with."""


def quality(table: pl.DataFrame, goes: Flags) -> dict[str, float]:
    """Recall and precision of the decisions (rows,) on a table of `synthetic_questions.make`."""
    judged = table.select("plant", goes=pl.Series(goes, dtype=pl.Boolean))
    near = pl.col("plant") == "near"
    found = int(judged.filter(near)["goes"].sum())
    return {
        "recall": round(found / max(1, judged.filter(near).height), 4),
        "precision": round(found / max(1, int(judged["goes"].sum())), 4),
        "plants_precision": round(found / max(1, int(judged.filter(pl.col("plant") != "")["goes"].sum())), 4),
    }


def _measured(name: str, file: str, pipe: Any) -> None:
    system = SYSTEMS[name][0]
    table = pl.read_parquet(file)
    system(table["text"].head(1000))
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    goes = system(table["text"])
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send(
        {
            "seconds": round(seconds, 3),
            "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
            "peak_mb": round(after.ru_maxrss / 1024),
            "start_mb": round(before.ru_maxrss / 1024),
            **quality(table, goes),
        }
    )


def _apart(name: str, file: Path) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(name, str(file), send))
    process.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        raise SystemExit(f"{name} failed; its error is above") from None
    process.join()
    return result


def versions() -> dict[str, str]:
    """The versions of all that is measured. Raises SystemExit with the command that installs what is missing."""
    try:
        return {
            package: metadata.version(package) for package in {system[1] for system in SYSTEMS.values()} | {"polars"}
        }
    except metadata.PackageNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed; the peers come with: {INSTALL}") from None


def measure(rows: int = 1_000_000, seed: int = 0) -> dict[str, Any]:
    """All systems at rows // 10, ours and the best of the peers at `rows`; figures by size and system, and the verdict.

    Raises SystemExit if a peer is not installed or a system fails.
    """
    figures: dict[str, Any] = {"versions": versions(), "settings": {name: one[2] for name, one in SYSTEMS.items()}}
    figures |= {"threshold": THRESHOLD, "cores": os.cpu_count(), "sizes": {}}
    names, best = list(SYSTEMS), ""
    with tempfile.TemporaryDirectory(prefix="touchstone-questions-") as folder:
        for size in (rows // 10, rows):
            file = Path(folder) / f"{size}.parquet"
            synthetic_questions.make(size, seed).write_parquet(file)
            at = figures["sizes"][str(size)] = {}
            for name in names:
                at[name] = _apart(name, file)
                print(f"{size:>9,} texts, {name}: {at[name]}", flush=True)
            able = [name for name in COMPARED if name in at and at[name]["recall"] >= RECALL]
            if not able:
                raise SystemExit(f"no peer reaches a recall of {RECALL} at {size:,} texts; its settings must change")
            best = min(able, key=lambda name: at[name]["seconds"])
            names = ["ours", best, "rensa, candidates only"]
    small, large = figures["sizes"].values()
    ratio = large[best]["seconds"] / large["ours"]["seconds"]
    figures["verdict"] = {
        "best_peer": best,
        "times_as_fast": round(ratio, 2),
        "times_as_fast_as_candidates_only": round(
            large["rensa, candidates only"]["seconds"] / large["ours"]["seconds"], 2
        ),
        "growth": round(large["ours"]["seconds"] / max(small["ours"]["seconds"], 1e-3), 1),
        "met": ratio >= FASTER and large["ours"]["recall"] >= RECALL,
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.questions.text", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    figures = measure(parser.parse_args().rows)
    verdict = figures["verdict"]
    print(
        f"ours is {verdict['times_as_fast']} times as fast as {verdict['best_peer']} (at least {FASTER} asked), and "
        f"{verdict['times_as_fast_as_candidates_only']} times as fast as rensa's candidates alone; ten times the rows "
        f"take {verdict['growth']} times as long"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
