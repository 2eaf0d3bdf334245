"""What a trainer reads. A new format is one module of this package that offers

    KIND: the kind of a product (training/products/), such as "sft" or "rl"
    write(rows, folder, *, images, tokenizer) -> list[Path]      the product's rows, read one at a time
    read_back(folder, *, tokenizer) -> Readback                  with the trainer's own loader
    LOADER = (variable, environment)   if that runs in an environment of its own, as `loader_python` takes it

The same rows give the same bytes. Beside its files, a format leaves touchstone.json: how many rows each split has and
a digest of their content, taken while writing. `read_back` takes the same digest of what the trainer's loader
returns, so a row that the loader drops or changes is found.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from records.identity import canonical_json
from records.plugins import get_module, module_names
from training.rows import Turn

MANIFEST = "touchstone.json"
_ROOT = Path(__file__).parent.parent.parent


class ExportError(RuntimeError):
    """An export cannot be written, or its trainer's loader reads something else than was written."""


@dataclass(frozen=True)
class Readback:
    """What reading back found. `loader` says what read the files: with "structure only", no trainer's loader did."""

    rows: int
    loader: str
    loss_tokens: int | None = None
    """Tokens that carry loss, where the loader masks them."""


def format_names() -> list[str]:
    return module_names(__name__)


def get_format(name: str) -> ModuleType:
    """The module of a format.

    Raises:
        RecipeError: there is none of that name.
    """
    return get_module(__name__, name, "format", "formats")


class Digest:
    """Count and SHA-256 of rows, each as [[role, text], ...] and its images' hashes in order."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()

    def add(self, turns: Sequence[tuple[str, str]], images: Sequence[str]) -> None:
        self.rows += 1
        self._hash.update(canonical_json([[list(turn) for turn in turns], list(images)]).encode() + b"\n")

    def add_turns(self, turns: Sequence[Turn]) -> None:
        self.add([(turn.role, turn.text) for turn in turns], [image for turn in turns for image in turn.images])

    def state(self) -> dict[str, Any]:
        return {"rows": self.rows, "digest": self._hash.hexdigest()}


def write_manifest(folder: Path, name: str, splits: dict[str, dict[str, Any]], **more: Any) -> Path:
    path = folder / MANIFEST
    path.write_text(json.dumps({"format": name, "splits": splits, **more}, indent=1, sort_keys=True) + "\n")
    return path


def read_manifest(folder: Path, name: str) -> dict[str, Any]:
    """Raises ExportError when the folder holds no export of format `name`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder} holds no readable {MANIFEST}: {error}") from error
    if manifest.get("format") != name:
        raise ExportError(f"{folder} holds an export of format {manifest.get('format')!r}, not {name!r}")
    return manifest


def compare(folder: Path, found: dict[str, dict[str, Any]], splits: dict[str, dict[str, Any]]) -> int:
    """The number of rows, if what was found is what was written.

    Raises:
        ExportError: saying which split differs and how.
    """
    for split, wrote in splits.items():
        got = found.get(split, {"rows": 0, "digest": ""})
        if got["rows"] != wrote["rows"]:
            raise ExportError(f"{folder}: {split}: {wrote['rows']} rows were written, the loader returns {got['rows']}")
        if wrote["rows"] and got["digest"] != wrote["digest"]:
            raise ExportError(f"{folder}: {split}: the loader returns other turns or images than were written")
    return sum(wrote["rows"] for wrote in splits.values())


def check_images(turns: Iterable[Turn], images: object | None) -> None:
    """Raises ExportError when turns hold images and no store was given to take them from."""
    if images is None and any(turn.images for turn in turns):
        raise ExportError("the rows hold images, but no image store was given to the writer")


def loader_python(variable: str, environment: str) -> Path | None:
    """The interpreter in which a trainer's loader can be imported: `variable`, else the environment that
    scripts/loaders makes beside the packages; None when neither is there."""
    given = os.environ.get(variable)
    path = Path(given) if given else _ROOT / environment / "bin" / "python"
    if given and not path.exists():
        raise ExportError(f"{variable}={given}: there is no such interpreter")
    return path if path.exists() else None


def run_loader(python: Path, script: str, request: dict[str, Any], timeout_s: float = 600) -> dict[str, Any]:
    """Run a script of this folder in another interpreter; JSON in by argument, the last line of stdout is JSON out.

    Raises:
        ExportError: the loader raised; with the end of what it said.
    """
    # The loaders cache what they tokenise under names that do not cover everything; HF_HUB_OFFLINE: never ask a hub.
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    env |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    command = [str(python), str(Path(__file__).parent / script), json.dumps(request)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{script}: not done after {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise ExportError(f"{script}: the trainer's loader failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
