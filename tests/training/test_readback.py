"""A loader reads again what it read before only if something that matters has changed."""

from pathlib import Path
from types import ModuleType

import pytest

import training.readback
from training.formats import ExportError, Readback
from training.readback import FILE, read_back


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A format whose loader counts how often it is asked, and where."""
    asked: list[Path] = []
    form = ModuleType("form")

    def loader(folder: Path, *, tokenizer: str | None) -> Readback:
        asked.append(folder)
        if "lost" in (folder / "train.jsonl").read_text():
            raise ExportError("a row is lost")
        return Readback(3, "a loader", 40)

    form.read_back = loader  # type: ignore[attr-defined]
    monkeypatch.setattr(training.readback, "get_format", lambda _: form)
    return asked


def export(folder: Path, text: str = "rows") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.jsonl").write_text(text)
    return folder


def test_the_same_files_are_read_once(reads: list[Path], tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text("{}")
    first, second, third = (export(tmp_path / name) for name in ("first", "second", "third"))
    said = read_back("form", first, before=tmp_path / "none", tokenizer=str(tokenizer))
    assert said == (Readback(3, "a loader", 40), True)
    assert read_back("form", second, before=first, tokenizer=str(tokenizer)) == (said[0], False)
    (tokenizer / "model.safetensors").write_text("other weights")
    assert not read_back("form", third, before=second, tokenizer=str(tokenizer))[1]
    assert reads == [first]


@pytest.mark.parametrize("change", ["files", "tokenizer", "packages", "damaged", "other fields"])
def test_what_has_changed_is_read_again(
    change: str, reads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, tokenizer = export(tmp_path / "first"), export(tmp_path / "second"), tmp_path / "tokenizer"
    tokenizer.mkdir()
    read_back("form", first, before=tmp_path, tokenizer=str(tokenizer))
    if change == "files":
        export(second, "other rows")
    elif change == "tokenizer":
        (tokenizer / "tokenizer.json").write_text("{}")
    elif change == "packages":
        monkeypatch.setattr(training.readback, "_installed", lambda _: ["trl-9.dist-info"])
    elif change == "damaged":
        (first / FILE).write_text('{"depends_on": ')
    else:
        (first / FILE).write_text((first / FILE).read_text().replace("loss_tokens", "tokens"))
    assert read_back("form", second, before=first, tokenizer=str(tokenizer))[1]
    assert reads == [first, second]


def test_an_interpreter_whose_packages_are_not_seen_is_asked_each_time(
    reads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("A_LOADER", str(python))
    form = training.readback.get_format("form")
    form.LOADER = ("A_LOADER", ".venv-of-it")  # type: ignore[attr-defined]
    first, second = export(tmp_path / "first"), export(tmp_path / "second")
    assert read_back("form", first, before=tmp_path, tokenizer=None)[1]
    assert read_back("form", second, before=first, tokenizer=None)[1]
    (tmp_path / "env/lib/python3.11/site-packages/trl-1.0.dist-info").mkdir(parents=True)
    assert read_back("form", first, before=second, tokenizer=None)[1]
    assert not read_back("form", second, before=first, tokenizer=None)[1]


def test_what_could_not_be_read_is_not_kept(reads: list[Path], tmp_path: Path) -> None:
    first = export(tmp_path / "first", "lost")
    for _ in range(2):
        with pytest.raises(ExportError):
            read_back("form", first, before=first, tokenizer=None)
    assert len(reads) == 2
