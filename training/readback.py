"""Reading an export back with its trainer's own loader, unless the same files were read by the same loader before.

A loader takes up to half a minute to start, and most refreshes change nothing of what was exported. What was read is
kept beside the files (read_back.json) with what it depends on: the bytes of the files, the tokenizer, the packages that
are installed where the loader runs, and the sources of this package.
"""

import dataclasses
import hashlib
import json
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from records.identity import content_hash
from training.formats import Readback, get_format, loader_python

FILE = "read_back.json"
_WEIGHTS = {".safetensors", ".bin", ".pt", ".gguf"}


def read_back(name: str, folder: Path, *, before: Path, tokenizer: str | None) -> tuple[Readback, bool]:
    """What the trainer's loader reads in `folder`, and whether it was read now.

    Args:
        before: the folder of the export before this one, which need not be there.

    Raises:
        ExportError: the loader failed, or returned other rows than were written.
    """
    writer = get_format(name)
    depends_on = _depends_on(writer, folder, tokenizer)
    back = _kept(before / FILE, depends_on)
    read_now = back is None
    if back is None:
        back = writer.read_back(folder, tokenizer=tokenizer)
    found = {"depends_on": depends_on, "found": dataclasses.asdict(back)}
    (folder / FILE).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return back, read_now


def _kept(file: Path, depends_on: str | None) -> Readback | None:
    """What was read before, if it depends on the same; None where nothing is kept, or what is cannot be used."""
    try:
        kept = json.loads(file.read_text())
        return Readback(**kept["found"]) if kept["depends_on"] == depends_on is not None else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _depends_on(writer: ModuleType, folder: Path, tokenizer: str | None) -> str | None:
    """A hash of all that what a loader reads depends on; None where that cannot be told."""
    loader = getattr(writer, "LOADER", None)
    python = loader_python(*loader) if loader else None
    installed = [_installed(Path(sysconfig.get_path("purelib")))]
    if python is not None:
        found = sorted(python.parent.parent.glob("lib/python*/site-packages"))
        installed += map(_installed, found)
        if not any(installed[1:]):
            return None
    source = Path(__file__).parent
    texts = [] if tokenizer is None else [file for file in _files(Path(tokenizer)) if file.suffix not in _WEIGHTS]
    parts = [(file for file in _files(folder) if file.name != FILE), texts, source.rglob("*.py")]
    return content_hash([installed, *map(_hashes, parts)])


def _installed(packages: Path) -> list[str]:
    """Names and versions of what is installed in a folder of packages."""
    return sorted(found.name for found in packages.glob("*.dist-info"))


def _files(folder: Path) -> Iterable[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def _hashes(files: Iterable[Path]) -> list[tuple[str, str]]:
    found = []
    for file in sorted(files):
        with file.open("rb") as stream:
            found.append((file.name, hashlib.file_digest(stream, "sha256").hexdigest()))
    return found
