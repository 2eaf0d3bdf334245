"""The questions stage measured: `python -m benchmarks.questions [--quick] [--check] [--peers PYTHON]`.

Three parts, each of which can be run alone: near duplicates of texts against other systems
(benchmarks/questions/text.py), image hashing and image duplicates against other systems
(benchmarks/questions/images.py), and time and memory of the whole stage at 100,000 and 1,000,000 questions
(benchmarks/questions/stage.py). Prints tables; the last line is one JSON object. With --check the exit status is 1 if a
target is missed.

The text peers live beside Touchstone (`pip install 'touchstone[bench]'`), the image peers in an environment of their
own, because they bring other builds of torch: --peers names its interpreter. About fifteen minutes on two cores; two
with --quick, at a tenth of the size.
"""

import argparse
import os
import platform
import sys

from benchmarks.questions import images as questions_images
from benchmarks.questions import stage as questions_stage
from benchmarks.questions import text as questions_text
from benchmarks.targets import concluded, judged

ROWS, IMAGES = 1_000_000, 6_000


def judge(figures: dict) -> list[dict[str, object]]:
    """The targets, and whether they are met."""
    text, images, stage = figures["texts"], figures["images"], figures["stage"]
    largest = list(text["sizes"].values())[-1]
    best = largest[text["verdict"]["best_peer"]]
    jpeg = images["files"]["jpeg"]
    rows = [
        ("near duplicates: times as fast as the best peer", text["verdict"]["times_as_fast"], "at least", 3),
        ("near duplicates: recall on the plants", largest["ours"]["recall"], "at least", 0.95),
        ("near duplicates: precision on the plants", largest["ours"]["plants_precision"], "at least", 0.95),
        ("near duplicates: recall of that peer", best["recall"], "at least", 0.95),
        ("image hashing: times as fast as the best peer, a core", jpeg["on_one_core"], "at least", 3),
        ("image duplicates: search, times as fast as the peer", images["search_times_the_peer"], "at least", 3),
        ("files to groups: times as fast as the best peer", jpeg["times_the_best_peer"], "at least", 3),
        ("image duplicates: recall on the plants", round(jpeg["systems"]["ours"]["recall"], 3), "at least", 0.95),
        ("the stage: peak memory at the largest size, GB", stage["sizes"][-1]["peak_gb"], "at most", 4),
        ("the stage: time a row, largest size over smallest", stage["time_a_row"], "at most", 1.5),
    ]
    return judged(rows)


def measure(rows: int, images: int, peers: str) -> dict:
    """All figures. Raises RuntimeError or SystemExit where a peer is missing or a part fails."""
    figures: dict = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": os.getloadavg()}
    }
    figures["texts"] = questions_text.measure(rows)
    print("\nThe stage", flush=True)
    figures["stage"] = questions_stage.measure([rows // 10, rows])
    for size in figures["stage"]["sizes"]:
        print(size, flush=True)
    print("\nImages", flush=True)
    figures["images"] = questions_images.measure(images, peers)
    questions_images.show(figures["images"])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.questions", description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a target is missed")
    parser.add_argument("--peers", default=sys.executable, help="the interpreter that has the image peers")
    given = parser.parse_args()
    part = 10 if given.quick else 1
    try:
        figures = measure(ROWS // part, IMAGES // part, given.peers)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    figures["targets"] = judge(figures)
    return concluded(figures, given.check)


if __name__ == "__main__":
    sys.exit(main())
