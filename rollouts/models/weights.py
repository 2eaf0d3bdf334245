"""A model's weights: from a directory, the hub, or hash-checked bytes that travel in Python packages.

`python -m rollouts.models.weights NAME` fetches and converts a packaged model and prints the directory it is in.
"""

import argparse
import contextlib
import fcntl
import fnmatch
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from records.identity import content_hash
from records.recipe import Weights
from rollouts.models.packaged_weights import PACKAGES, Say, WeightsError, convert_apart, convert_gguf, join_parts

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFiles:
    """A Hugging Face model directory, and the identity of what is in it (the same on every machine)."""

    path: Path
    identity: str


# What decides a model's replies; a README or a training log does not.
_MODEL_FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt", "*.gguf")
_NOT_MODEL_FILES = ("manifest.json", "trainer_state.json", "training_args.bin", "README*", "requirements*.txt")
# Copies of the weights in formats that vLLM does not read here.
_NOT_DOWNLOADED = ["*.gguf", "*.onnx", "onnx/*", "*.msgpack", "*.h5", "*.pth", "*.pt", "original/*", "*.tflite"]


def default_cache() -> Path:
    """$TOUCHSTONE_HOME, or ~/.cache/touchstone."""
    return Path(os.environ.get("TOUCHSTONE_HOME") or Path.home() / ".cache" / "touchstone")


def resolve_weights(spec: Weights, cache: Path | None = None, say: Say | None = None) -> ModelFiles:
    """Find the weights that a recipe asks for: path, hub or package, the first that it names and that is available.

    Args:
        spec: where to look.
        cache: folder that downloaded and converted models are kept in; `default_cache()` when not given.
        say: where progress lines go; the module's logger when not given.

    Raises:
        WeightsError: nothing that the recipe names is available, or bytes did not have the hash they must have.
    """
    cache, say = cache or default_cache(), say or _log.info
    if spec.package is not None and spec.package not in PACKAGES:
        raise WeightsError(f"weights.package: no package named {spec.package!r}; there are: {', '.join(PACKAGES)}")
    sources: list[tuple[str, Callable[[], ModelFiles]]] = []
    if spec.path is not None:
        path = Path(spec.path).expanduser()
        sources.append(("path", lambda: _from_path(path, cache)))
    converted = _converted(cache, spec.package) if spec.package is not None else None
    if converted and spec.hub is not None and (converted / "manifest.json").exists():
        # Else a hub that is reachable on some days only would change the model, and with it every stored rollout.
        say(f"{spec.hub}: staying with the package {spec.package}, used before and kept in {converted}")
    elif spec.hub is not None:
        hub = spec.hub
        sources.append(("hub", lambda: _from_hub(hub, spec.revision)))
    if spec.package is not None:
        name = spec.package
        sources.append(("package", lambda: _from_package(name, cache, say)))
    problems = []
    for key, source in sources:
        try:
            files = source()
        except WeightsError as error:
            problems.append(f"weights.{key}: {error}")
            continue
        for problem in problems:
            say(f"{problem}; took weights.{key} instead")
        return files
    raise WeightsError("\n".join(problems))


def _from_path(path: Path, cache: Path) -> ModelFiles:
    if not (path / "config.json").is_file():
        raise WeightsError(f"{path} is not a Hugging Face model directory: it has no config.json")
    return ModelFiles(path, identity_of_directory(path, cache))


def _from_hub(hub: str, revision: str) -> ModelFiles:
    from huggingface_hub import snapshot_download

    try:
        # Falls back to what an earlier download left when the hub cannot be reached.
        path = Path(snapshot_download(hub, revision=revision, etag_timeout=10, ignore_patterns=_NOT_DOWNLOADED))
    except Exception as error:  # anything from name resolution to permissions, in types that change between releases
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(f"{hub} at {revision} cannot be had from the hub: {reason[0]}") from None
    return ModelFiles(path, content_hash({"hub": hub, "commit": path.name}))  # snapshots/<commit>


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _hash_files(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Name -> {stamp, sha256} of the model files in `path`; a file whose size and time are as `known` is not read."""
    files = {}
    for file in sorted(path.iterdir()):
        name = file.name
        if not file.is_file() or any(fnmatch.fnmatch(name, p) for p in _NOT_MODEL_FILES):
            continue
        if any(fnmatch.fnmatch(name, p) for p in _MODEL_FILES):
            stamp, old = _stamp(file), known.get(name, {})
            files[name] = old if old.get("stamp") == stamp else {"stamp": stamp, "sha256": _digest(file)}
    return files


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
        return value if isinstance(value, dict) else {}
    except (OSError, ValueError):
        return {}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    part.write_text(json.dumps(value, indent=1))
    part.replace(path)


def _identity(files: dict[str, Any]) -> str:
    return content_hash({name: entry["sha256"] for name, entry in files.items()})


def identity_of_directory(path: Path, cache: Path | None = None) -> str:
    """Identity of a model or adapter directory: the hash of its weights', configuration's and tokenizer's hashes.

    The hashes are remembered in `cache`, so that unchanged files (same size and time) are read once.
    """
    path = path.resolve()
    memory = (cache or default_cache()) / "hashes" / f"{content_hash(str(path))}.json"
    known = _read_json(memory)
    files = _hash_files(path, known)
    if not files:
        raise WeightsError(f"{path} holds no model files")
    if files != known:
        _write_json(memory, files)
    return _identity(files)


def _converted(cache: Path, name: str) -> Path:
    return cache / "models" / f"{name}-{PACKAGES[name].sha256[:8]}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: steps of a run may want the same model at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _from_package(name: str, cache: Path, say: Say) -> ModelFiles:
    package, target = PACKAGES[name], _converted(cache, name)
    with _locked(cache / "models" / f"{name}.lock"):
        manifest = _read_json(target / "manifest.json")
        if manifest:
            files = _hash_files(target, manifest.get("files", {}))
            if _identity(files) == manifest.get("identity"):
                if files != manifest["files"]:  # copied or touched, but the same bytes
                    _write_json(target / "manifest.json", manifest | {"files": files})
                return ModelFiles(target, manifest["identity"])
            say(f"{name}: files in {target} are not those that were converted; making them again")
        work = cache / "partial" / name
        work.mkdir(parents=True, exist_ok=True)
        gguf = work / "model.gguf"
        if not gguf.exists() or gguf.stat().st_size != package.size or _digest(gguf) != package.sha256:
            join_parts(name, package, work, gguf, say)
        made = work / "converted"
        shutil.rmtree(made, ignore_errors=True)
        convert_apart(name, gguf, made, say)
        files = _hash_files(made, {})
        identity = _identity(files)
        _write_json(
            made / "manifest.json",
            {"package": name, "gguf_sha256": package.sha256, "identity": identity, "files": files},
        )
        shutil.rmtree(target, ignore_errors=True)
        made.replace(target)
        shutil.rmtree(work, ignore_errors=True)
        return ModelFiles(target, identity)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m rollouts.models.weights", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(PACKAGES), help="the model to fetch")
    parser.add_argument("--cache", type=Path, help="kept here; default: $TOUCHSTONE_HOME or ~/.cache/touchstone")
    parser.add_argument("--convert", nargs=2, type=Path, metavar=("GGUF", "TARGET"), help="only convert a file")
    given = parser.parse_args()
    if given.convert:
        convert_gguf(*given.convert)
    elif given.name is None:
        parser.error("name a model")
    else:
        try:
            files = resolve_weights(
                Weights(package=given.name), given.cache, say=lambda line: print(line, file=sys.stderr, flush=True)
            )
        except WeightsError as error:
            sys.exit(f"error: {error}")
        print(files.path)


if __name__ == "__main__":
    main()
