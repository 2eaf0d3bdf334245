"""Image duplicates measured: `python -m benchmarks.questions.images [--images N] [--peers PYTHON]`.

N image files (JPEGs of noise, shapes and text, 640x480 to 1600x1200; every fifth is an earlier one again: re-encoded,
resized, unevenly resized, with borders, or brighter), from their bytes to groups: ours as the pipeline does it (the
intake's processes, which also check each file, then filters/duplicates/images.py), and each peer with its own processes
and its own search. Then one core's time for one image, and the search alone on hashes without images: a million for
ours; for the peer as many as it gets through in a minute, and ours on those as well. Each figure comes from a process
of its own, with compiled code and imports loaded before the clock starts, and one run. The last line is a JSON object.

Peers: `pip install imagehash==4.3.2 imagededup==0.3.3.post2 perception==0.9.3`, in any environment; --peers names its
interpreter.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

BITS, WORKERS = 10, 2
PLANTED = 5
"""One file in so many is an earlier one again."""
SEARCHED, PEER_S = 1_000_000, 60
TIMED = 200
FORMATS = {"jpeg": ("JPEG",), "mixed": ("JPEG", "JPEG", "JPEG", "WEBP", "PNG")}
"""What files that are made again are written as; all others are JPEGs, as the field's photographs are. Only JPEGs can
be decoded at a smaller scale, and a PNG takes twenty times as long, whoever decodes it."""
PEERS = {"imagehash": "4.3.2", "imagededup": "0.3.3.post2", "perception": "0.9.3"}
WORDS = ("time", "year", "people", "way", "day", "thing", "woman", "life", "child", "world", "school", "state")


def picture(seed: int) -> Image.Image:
    """A picture like a photograph with things and writing in it."""
    draws = np.random.default_rng(seed)
    width = int(draws.integers(640, 1601))
    size = (width, width * 3 // 4)
    layers = [
        Image.fromarray(draws.integers(0, 256, (cells, cells, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for cells in (4, 16)
    ]
    made = Image.blend(layers[0], layers[1], 0.35)
    pen = ImageDraw.Draw(made)
    for _ in range(draws.integers(3, 12)):
        x, y = int(draws.integers(0, size[0])), int(draws.integers(0, size[1]))
        across, down = draws.integers(20, size[0] // 3, 2).tolist()
        shape = (pen.ellipse, pen.rectangle)[draws.integers(2)]
        shape((x, y, x + across, y + down), fill=tuple(int(level) for level in draws.integers(0, 256, 3)))
    for _ in range(draws.integers(2, 6)):
        at = (int(draws.integers(0, size[0] // 2)), int(draws.integers(0, size[1])))
        pen.text(at, " ".join(draws.choice(WORDS, 4)), "black", ImageFont.load_default(int(draws.integers(16, 48))))
    return made


def planted(original: Image.Image, seed: int, formats: tuple[str, ...]) -> tuple[Image.Image, str]:
    """The picture again, and the format to write it in."""
    draws = np.random.default_rng([seed, 1])
    kind = draws.integers(6)
    width, height = original.size
    if kind in (1, 2):
        factor = draws.uniform(0.75, 1.33)
        uneven = draws.uniform(0.85, 1.15) if kind == 2 else 1.0
        original = original.resize((round(width * factor), round(height * factor * uneven)))
    elif kind in (3, 4):
        edge = tuple(int(side * draws.uniform(0.03, 0.1)) for side in (width, height, width, height))
        original = ImageOps.expand(original, edge, ("black", "white")[kind - 3])
    elif kind == 5:
        original = ImageEnhance.Brightness(original).enhance(draws.uniform(0.93, 1.07))
    return original, formats[draws.integers(len(formats))]


def _write(task: tuple[str, int, tuple[str, ...]]) -> None:
    path, seed, again = task
    made, kind = picture(seed), "JPEG"
    if again:
        buffer = io.BytesIO()
        made.save(buffer, "JPEG", quality=90)  # what is made again is the file, not the drawing
        made, kind = planted(Image.open(buffer).convert("RGB"), seed, again)
    quality = int(np.random.default_rng([seed, 2]).integers(30, 96)) if again else 90
    made.save(path, kind, **({} if kind == "PNG" else {"quality": quality}))


def make(folder: Path, n: int, formats: tuple[str, ...], seed: int = 7) -> dict[str, str]:
    """n files in `folder`, named in order; the originals of those that are planted, by name."""
    seeds = [seed * 10_000_000 + i for i in range(n)]
    # Every PLANTED-th file is made again from a file before it: the k-th from the k-th of those that are none.
    originals = {PLANTED * k + PLANTED - 1: k + k // (PLANTED - 1) for k in range(n // PLANTED)}
    tasks = [(str(folder / f"{i:06}"), seeds[originals.get(i, i)], formats if i in originals else ()) for i in range(n)]
    with Pool(WORKERS) as pool:
        pool.map(_write, tasks, chunksize=8)
    return {f"{i:06}": f"{j:06}" for i, j in originals.items()}


def _result(started: float, pairs: Iterable[tuple[str, str]], **more: object) -> dict:
    wall = time.perf_counter() - started
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "wall_s": wall,
        "rss_mb": used[0].ru_maxrss // 1024,
        "largest_child_mb": used[1].ru_maxrss // 1024,
        "pairs": sorted(pairs),
        **more,
    }


def _frame(names: list[str], hashes: np.ndarray, thumbnails: list[bytes]):
    import polars as pl

    return pl.DataFrame({"image": names, "inner_phash": hashes, "thumbnail": thumbnails})


def _grouped(frame, bits: int) -> list[tuple[str, str]]:
    from filters.duplicates.images import groups

    found = groups(frame, bits)
    return found.filter(found["image"] != found["representative"]).select("image", "representative").rows()


def ours(folder: Path) -> dict:
    from records.recipe.questions import ImageRules
    from sources.intake.images import ImageIntake

    _grouped(_frame(["a"] * 5000, np.arange(5000), [bytes(768)] * 5000), BITS)  # loads the compiled code
    started = time.perf_counter()
    names, hashes, thumbnails = [], [], []
    files = ((path.name, [path.read_bytes()]) for path in sorted(folder.iterdir()))
    with ImageIntake(ImageRules(workers=WORKERS)) as intake:
        for name, taken in intake.take(files):
            if isinstance(taken, Exception):
                raise taken
            facts: Any = getattr(taken[0], "facts", taken[0])
            names.append(name)
            hashes.append(facts.inner_phash)
            thumbnails.append(facts.thumbnail)
    intake_s = time.perf_counter() - started
    return _result(started, _grouped(_frame(names, np.array(hashes), thumbnails), BITS), intake_s=intake_s)


def _imagehash_of(path: str) -> np.ndarray:
    import imagehash  # pyright: ignore[reportMissingImports]

    with Image.open(path) as image:
        return imagehash.phash(image).hash


def imagehash(folder: Path) -> dict:
    import imagehash as library  # pyright: ignore[reportMissingImports]

    files = sorted(folder.iterdir())
    started = time.perf_counter()
    with Pool(WORKERS) as pool:
        hashes = [library.ImageHash(found) for found in pool.map(_imagehash_of, map(str, files), chunksize=16)]
    # The library has no index: its users compare each hash with those before it.
    pairs = [
        (files[i].name, files[j].name) for i in range(len(files)) for j in range(i) if hashes[i] - hashes[j] <= BITS
    ]
    return _result(started, pairs)


def imagededup(folder: Path) -> dict:
    from imagededup.methods import PHash  # pyright: ignore[reportMissingImports]

    started = time.perf_counter()
    found = PHash(verbose=False).find_duplicates(
        str(folder), max_distance_threshold=BITS, num_enc_workers=WORKERS, num_dist_workers=WORKERS
    )
    return _result(started, {(max(a, b), min(a, b)) for a, others in found.items() for b in others})


def perception(folder: Path) -> dict:
    from perception.hashers import PHash  # pyright: ignore[reportMissingImports]
    from perception.tools import deduplicate  # pyright: ignore[reportMissingImports]

    started = time.perf_counter()
    found = deduplicate([str(path) for path in sorted(folder.iterdir())], [(PHash(), BITS / 64)])  # threads of its own
    names = [(Path(a).name, Path(b).name) for a, b in found]
    return _result(started, [(max(pair), min(pair)) for pair in names])


def one_core(folder: Path, name: str) -> dict:
    """Milliseconds from a file's bytes to its hash, on one core."""
    if name == "ours":
        from records.images.normal_form import normal_form as of
    elif name == "imagehash":
        import imagehash as library  # pyright: ignore[reportMissingImports]

        def of(data: bytes) -> object:
            return library.phash(Image.open(io.BytesIO(data)))
    else:
        import cv2

        if name == "imagededup":
            from imagededup.methods import PHash  # pyright: ignore[reportMissingImports]

            hasher = PHash(verbose=False)

            def of(data: bytes) -> object:
                return hasher.encode_image(image_array=np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        else:
            from perception.hashers import PHash  # pyright: ignore[reportMissingImports]

            hasher = PHash()

            def of(data: bytes) -> object:
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                assert pixels is not None
                return hasher.compute(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))

    files = [path.read_bytes() for path in sorted(folder.iterdir())[:TIMED]]
    of(files[0])
    started = time.perf_counter()
    for data in files:
        of(data)
    return {"ms": 1000 * (time.perf_counter() - started) / len(files)}


def _hashes(n: int) -> np.ndarray:
    """n hashes at random of which one in ten is an earlier one with up to three bits changed."""
    draws = np.random.default_rng(3)
    made, again = draws.integers(-(2**63), 2**63 - 1, n), n // 10
    flips = np.int64(1) << draws.integers(0, 63, (3, again))
    made[n - again :] = made[:again] ^ flips[0] ^ flips[1] ^ flips[2]
    return made


def search_ours(n: int) -> dict:
    thumbnails = [bytes([i]) * 768 for i in range(256)]
    again = n // 10
    shown = np.arange(n) % 256
    shown[n - again :] = shown[:again]
    frame = _frame([f"{i:07}" for i in range(n)], _hashes(n), [thumbnails[i] for i in shown])
    _grouped(_frame(["a"] * 5000, np.arange(5000), [bytes(768)] * 5000), BITS)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, time.perf_counter()
    result = _result(started, _grouped(frame, BITS), table_mb=before)
    return result | {"rows": n, "found": len(result.pop("pairs"))}


def search_imagededup(_: int) -> dict:
    """Rates at as many rows as can be searched in about a minute, found by doubling."""
    from imagededup.methods import PHash  # pyright: ignore[reportMissingImports]

    hasher, rows, done, spent = PHash(verbose=False), 4000, {}, 0.0
    while spent * 5 < PEER_S:  # the next takes four times as long
        codes = {f"{i:07}": f"{value:016x}" for i, value in enumerate(_hashes(rows).view(np.uint64).tolist())}
        started = time.perf_counter()
        found = hasher.find_duplicates(encoding_map=codes, max_distance_threshold=BITS, num_dist_workers=WORKERS)
        spent = time.perf_counter() - started
        done = {"rows": rows, "wall_s": spent, "found": sum(map(len, found.values())) // 2}
        rows *= 2
    return done


PARTS = {"ours": ours, "imagehash": imagehash, "imagededup": imagededup, "perception": perception}
SEARCHES = {"ours": search_ours, "imagededup": search_imagededup}


def _apart(python: str, *asked: str) -> dict:
    """A part, in a process of its own."""
    command = [python, "-W", "ignore", "-m", "benchmarks.questions.images", *asked]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(asked)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _missing(python: str) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def v(n):\n  try: return m.version(n)\n  except m.PackageNotFoundError: return None\n"
        "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    )
    found = json.loads(subprocess.run([python, "-c", code, *PEERS], capture_output=True, text=True).stdout)
    return {name: version for name, version in PEERS.items() if found[name] != version}


def measure(n: int, peers_python: str = sys.executable) -> dict:
    """All figures for n image files.

    Raises RuntimeError where a peer is not installed for `peers_python`, or a part fails.
    """
    if lacking := _missing(peers_python):
        raise RuntimeError("pip install " + " ".join(f"{name}=={version}" for name, version in lacking.items()))
    figures: dict = {"images": n, "bits": BITS, "workers": WORKERS, "versions": PEERS, "files": {}}
    for kind, formats in FORMATS.items():
        with tempfile.TemporaryDirectory() as place:
            truth = make(Path(place), n, formats)
            parts = {name: _part(name, place, truth, peers_python) for name in PARTS}
        rates = {name: part["images_per_s"] for name, part in parts.items() if name != "ours"}
        best = max(rates, key=lambda name: rates[name])
        figures["files"][kind] = {
            "systems": parts,
            "best_peer": best,
            "times_the_best_peer": round(parts["ours"]["images_per_s"] / rates[best], 2),
            "on_one_core": round(
                min(p["one_core_ms"] for n, p in parts.items() if n != "ours") / parts["ours"]["one_core_ms"], 2
            ),
        }
    peer = _apart(peers_python, "--search", "imagededup")
    figures["search"] = {
        "imagededup": peer,
        "ours_on_as_many": _apart(sys.executable, "--search", "ours", "--rows", str(peer["rows"])),
        "ours": _apart(sys.executable, "--search", "ours", "--rows", str(SEARCHED)),
    }
    figures["search_times_the_peer"] = round(peer["wall_s"] / figures["search"]["ours_on_as_many"]["wall_s"], 1)
    return figures


def _part(name: str, place: str, truth: dict[str, str], peers_python: str) -> dict:
    """One system on one folder of files."""
    python = sys.executable if name == "ours" else peers_python
    part = _apart(python, "--part", name, "--folder", place)
    pairs = part.pop("pairs")
    right = sum(truth.get(a) == b for a, b in pairs)
    return part | {
        "images_per_s": PLANTED * len(truth) / part["wall_s"],
        "recall": right / len(truth),
        "precision": right / len(pairs) if pairs else 1.0,
        "one_core_ms": _apart(python, "--one-core", name, "--folder", place)["ms"],
    }


def show(figures: dict) -> None:
    print(
        "| files | system | images/s | recall | precision | MB | ms an image on a core |\n|---|---|---|---|---|---|---|"
    )
    for kind, found in figures["files"].items():
        for name, part in found["systems"].items():
            shown = [f"{part[key]:.3f}" for key in ("images_per_s", "recall", "precision")]
            memory = max(part["rss_mb"], part["largest_child_mb"])
            print(f"| {kind} | {name} | {' | '.join(shown)} | {memory} | {part['one_core_ms']:.2f} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--peers", default=sys.executable, help="the interpreter that has the peers")
    for hidden in ("--part", "--one-core", "--search", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=SEARCHED, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        print(json.dumps(PARTS[asked.part](Path(asked.folder))))
    elif asked.one_core:
        print(json.dumps(one_core(Path(asked.folder), asked.one_core)))
    elif asked.search:
        print(json.dumps(SEARCHES[asked.search](asked.rows)))
    else:
        try:
            figures = measure(asked.images, asked.peers)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        show(figures)
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
