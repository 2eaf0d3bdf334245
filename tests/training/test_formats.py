"""Exports: what is written is what the trainer's own loader returns, and a bad row is a reject, never lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from records.images.store import ImageStore
from records.question import Reject
from records.recipe.section import RecipeError
from records.trajectory import Message, Trajectory
from tests.support.kept_loader import KeptLoaders
from tests.support.training_rows import DIALECT, png, prompt, question, split_by, trajectory
from training.formats import ExportError, format_names, get_format, loader_python
from training.rows import Rendering, RlRow, SftRow, rl_rows, sft_rows

ASKED = [question(n) for n in range(6)]
VALIDATION = {ASKED[0].question_id}
TASKS = {asked.question_id: asked.task for asked in ASKED}
SFT = ("llamafactory_sharegpt", "trl_messages")
RL = ("trl_prompts", "verl_parquet")


def made_sft(trajectories: list[Trajectory], images: ImageStore | None, rejects: list[Reject]) -> Iterator[SftRow]:
    return sft_rows(trajectories, Rendering(DIALECT, images), split_by(VALIDATION), TASKS, rejects)


def rows_for(name: str, store: ImageStore, sees: bool) -> Iterator[SftRow] | Iterator[RlRow]:
    red, blue = png(store, "red"), png(store, "blue")
    shown = {n: ([red, blue][: n % 3], [blue] if n == 4 else []) for n in range(6)}
    images = store if sees else None
    if name in SFT:
        return made_sft([trajectory(a, *shown[n]) for n, a in enumerate(ASKED)], images, [])
    prompts = [(asked, prompt(asked, shown[n][0])) for n, asked in enumerate(ASKED)]
    return rl_rows(prompts, Rendering(DIALECT, images), split_by(VALIDATION), {"math": ["python"]}, [])


@pytest.fixture(scope="module")
def kept_loaders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptLoaders]:
    loaders = KeptLoaders(tmp_path_factory.mktemp("loaders"))
    yield loaders
    loaders.close()


@pytest.fixture
def loaders(kept_loaders: KeptLoaders, monkeypatch: pytest.MonkeyPatch) -> KeptLoaders:
    """The trainers' own loaders read what the test exports, all tests of this file in one process a trainer."""
    for name in ("verl_parquet", "llamafactory_sharegpt"):
        monkeypatch.setattr(get_format(name), "run_loader", kept_loaders)
    return kept_loaders


def test_names() -> None:
    assert set(format_names()) == {*SFT, *RL}
    assert [get_format(n).KIND for n in (*SFT, *RL)] == ["sft", "sft", "rl", "rl"]
    with pytest.raises(RecipeError, match="known: llamafactory_sharegpt"):
        get_format("parquet")


@pytest.mark.parametrize("sees", [False, True])
@pytest.mark.parametrize("name", [*SFT, *RL])
def test_same_rows_same_bytes_and_read_back(name: str, sees: bool, store: ImageStore, tmp_path: Path) -> None:
    images, form = store if sees else None, get_format(name)
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        files = form.write(rows_for(name, store, sees), folder, images=images)
        contents.append({file.relative_to(folder).as_posix(): file.read_bytes() for file in files})
    assert contents[0] == contents[1]
    back = form.read_back(tmp_path / "a")
    assert back.rows == 6
    if name in ("verl_parquet", "llamafactory_sharegpt"):
        assert back.loader.startswith("structure only"), "no tokenizer was given, so no trainer's loader ran"


@pytest.mark.parametrize("name", [*SFT, *RL])
def test_a_lost_row_is_found(name: str, store: ImageStore, tmp_path: Path) -> None:
    form = get_format(name)
    form.write(rows_for(name, store, True), tmp_path, images=store)
    if name == "llamafactory_sharegpt":
        path = tmp_path / "train.json"
        path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    else:
        path = tmp_path / "train.parquet"
        pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(ExportError, match="5 rows were written, the loader returns 4"):
        form.read_back(tmp_path)


@pytest.mark.parametrize("name", [*SFT, *RL])
def test_a_changed_row_is_found(name: str, store: ImageStore, tmp_path: Path) -> None:
    form = get_format(name)
    form.write(rows_for(name, store, False), tmp_path)
    if name == "llamafactory_sharegpt":
        path = tmp_path / "train.json"
        path.write_text(path.read_text().replace("what is 3", "what is 4", 1))
    else:
        path = tmp_path / "train.parquet"
        table = pq.read_table(path).to_pylist()
        table[0]["prompt"][-1]["content"] += "!"
        import pyarrow as pa

        pq.write_table(pa.Table.from_pylist(table, schema=pq.read_schema(path)), path)
    with pytest.raises(ExportError, match="other turns or images"):
        form.read_back(tmp_path)


def test_a_policy_that_cannot_see_gets_no_image(store: ImageStore, tmp_path: Path) -> None:
    for name in (*SFT, *RL):
        get_format(name).write(rows_for(name, store, False), tmp_path / name)
        for file in (tmp_path / name).rglob("*"):
            assert "<image>" not in file.read_bytes().decode(errors="replace")
    assert not (tmp_path / "llamafactory_sharegpt" / "images").exists()
    assert "images" not in pq.read_schema(tmp_path / "trl_messages" / "train.parquet").names
    with pytest.raises(ExportError, match="no image store"):
        get_format("trl_prompts").write(rows_for("trl_prompts", store, True), tmp_path / "x")


def test_verl_rows_have_one_shape(store: ImageStore, tmp_path: Path) -> None:
    get_format("verl_parquet").write(rows_for("verl_parquet", store, True), tmp_path, images=store)
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert len({tuple(row["extra_info"]) for row in rows}) == 1
    assert all(value is not None for row in rows for value in row["extra_info"].values())
    for row in rows:
        assert sum(turn["content"].count("<image>") for turn in row["prompt"]) == len(row["images"])
        assert row["reward_model"] == {"style": "rule", "ground_truth": row["extra_info"]["answer"]}


def test_worked_examples_are_folded_or_left_out(tiny_policy: str, store: ImageStore, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    form, made = get_format("llamafactory_sharegpt"), trajectory(ASKED[1])
    (row,) = made_sft([made], None, [])
    form.write([row], tmp_path / "folded", tokenizer=tiny_policy)
    form.write([row], tmp_path / "bare")
    folded, bare = (json.loads((tmp_path / n / "train.json").read_text())[0]["messages"] for n in ("folded", "bare"))
    assert [turn["role"] for turn in folded] == ["system", "user", "assistant", "user", "assistant"]
    chat = [{"role": turn.role, "content": turn.text} for turn in (*row.prompt, *row.completion)]
    template = {"tokenize": True, "return_dict": False}
    assert tokenizer.apply_chat_template(folded, **template) == tokenizer.apply_chat_template(chat, **template)
    assert "EXAMPLE" not in json.dumps(bare)
    assert json.dumps(chat[-1]) in json.dumps(bare)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a page with <image> in it", "placeholder_in_text"),
        ("<|im_end|>\n<|im_start|>assistant\n<answer>1</answer>", "control_token_in_text"),
    ],
)
def test_text_that_a_loader_would_misread_is_a_reject(output: str, reason: str) -> None:
    rejects: list[Reject] = []
    rows = list(made_sft([trajectory(ASKED[1], output=output), trajectory(ASKED[2])], None, rejects))
    assert [row.question_id for row in rows] == [ASKED[2].question_id]
    assert [(r.row_id, r.reason, r.stage) for r in rejects] == [
        (f"t-{ASKED[1].question_id}", reason, "sft_training_set")
    ]


def test_turns_that_do_not_alternate_and_missing_images_are_rejects(store: ImageStore) -> None:
    good = trajectory(ASKED[1])
    two_results = good.model_copy(update={"messages": [good.messages[0], good.messages[1], *good.messages[1:]]})
    open_end = good.model_copy(update={"messages": good.messages[:2]})
    empty = good.model_copy(update={"messages": [*good.messages[:2], Message(role="assistant", raw=" ")]})
    gone = trajectory(ASKED[2], images=["0" * 64])
    rejects: list[Reject] = []
    assert not list(made_sft([two_results, open_end, empty, gone], store, rejects))
    reasons = ["turns_not_alternating", "turns_not_alternating", "empty_turn", "image_missing"]
    assert [reject.reason for reject in rejects] == reasons


def test_stale_files_do_not_survive(store: ImageStore, tmp_path: Path) -> None:
    for name in (*SFT, *RL):
        form, folder = get_format(name), tmp_path / name
        form.write(rows_for(name, store, False), folder)
        form.write((row for row in rows_for(name, store, False) if row.split == "train"), folder)
        assert not list(folder.glob("validation.*"))
        assert form.read_back(folder).rows == 5
        form.write(iter(()), folder)
        assert form.read_back(folder).rows == 0


def test_a_wrong_interpreter_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_VERL_PYTHON", "/nowhere/python")
    with pytest.raises(ExportError, match="no such interpreter"):
        loader_python("TOUCHSTONE_VERL_PYTHON", ".venv-verl")


@pytest.mark.parametrize("sees", [False, True])
@pytest.mark.parametrize("name", ["trl_messages", "trl_prompts"])
def test_trl_reads_it(name: str, sees: bool, tiny_policy: str, store: ImageStore, tmp_path: Path) -> None:
    form = get_format(name)
    form.write(rows_for(name, store, sees), tmp_path, images=store if sees else None)
    back = form.read_back(tmp_path, tokenizer=tiny_policy)
    assert back.rows == 6
    assert ("decoded" in back.loader) == sees
    assert bool(back.loss_tokens) == (name == "trl_messages" and not sees)


@pytest.mark.skipif(loader_python("TOUCHSTONE_VERL_PYTHON", ".venv-verl") is None, reason="run scripts/loaders")
@pytest.mark.parametrize("sees", [False, True])
def test_verl_reads_it(loaders: KeptLoaders, sees: bool, tiny_policy: str, store: ImageStore, tmp_path: Path) -> None:
    form = get_format("verl_parquet")
    form.write(rows_for("verl_parquet", store, sees), tmp_path, images=store if sees else None)
    back = form.read_back(tmp_path, tokenizer=tiny_policy)
    assert back.rows == 6
    assert back.loader.startswith("verl 0.9")


@pytest.mark.skipif(
    loader_python("TOUCHSTONE_LLAMAFACTORY_PYTHON", ".venv-llamafactory") is None, reason="run scripts/loaders"
)
@pytest.mark.parametrize("sees", [False, True])
def test_llamafactory_reads_and_masks_it(
    loaders: KeptLoaders, sees: bool, tiny_policy: str, store: ImageStore, tmp_path: Path
) -> None:
    form = get_format("llamafactory_sharegpt")
    form.write(
        rows_for("llamafactory_sharegpt", store, sees), tmp_path, images=store if sees else None, tokenizer=tiny_policy
    )
    back = form.read_back(tmp_path, tokenizer=tiny_policy)
    assert back.rows == 6
    assert back.loader.startswith("LLaMA-Factory 0.9")
    assert back.loss_tokens
