"""An attempt whose calls cannot be made again with equal results is begun anew and ends, through the real ledger and
sandbox: the tools' results are what a session really gives, and only the model is scripted."""

import pytest

from records.faults import ToolInfrastructureError
from records.images.store import ImageStore
from records.question import Question
from records.recipe import Sampling, SandboxSettings
from records.trajectory import ToolResult
from rollouts.agent import attempt
from rollouts.dialects import get_dialect
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import ModelUnavailable
from rollouts.redraws import MOST_REDRAWS
from rollouts.setting import Setting
from rollouts.tool_calls import NoLedger
from rollouts.tools import session_seed
from rollouts.tools.python import PythonInSandbox
from sandbox import SandboxDescription
from tests.rollouts.test_agent import Scripted, prompt_of

QUESTION = Question(source="s", source_row="1", task="math", text="2+2?", answer="4", answer_type="number")
ANSWER, NEXT = "<answer>4</answer>", "<python>1 + 1</python>"
KILLED = ModelUnavailable("killed")
UNREPEATABLE = {
    "time": "import time\ntime.time_ns()",
    "entropy": "import os\nos.urandom(8)",
    "uuid": "import uuid\nuuid.uuid4()",
    "a file's time": "open('a', 'w').close()\nimport os\nos.stat('a').st_mtime_ns",
    "a child's chance": "import subprocess, sys\n"
    "subprocess.run([sys.executable, '-c', 'import random; print(random.random())']);",
}
REPEATABLE = {
    "random": "import random\nrandom.random()",
    "numpy": "import numpy as np\nnp.random.rand(3), np.random.default_rng().random()",
    "temporary names": "import tempfile\ntempfile.mkdtemp()",
    "scatter": "import matplotlib.pyplot as plt, numpy as np\nplt.figure(figsize=(2, 1), dpi=50)\n"
    "plt.scatter(np.random.rand(9), np.random.rand(9)); plt.show()",
    "an image": "from PIL import Image\nprint(Image.new('L', (9, 9)))",
}


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    images = ImageStore(str(tmp_path_factory.mktemp("images")))
    tool = PythonInSandbox(SandboxSettings(cell_timeout_s=60), images, SandboxDescription("pinned"))
    sampling = Sampling(temperature=0.5, max_tokens=50, max_turns=5)
    return Setting("tools", get_dialect("plain_tags"), {"python": tool}, sampling, images)


def call(code):
    return f"<python>{code}</python>"


async def run(tmp_path, setting, *lines):
    """One run over the ledger: what the model has not said yet, and the rollout."""
    model = Scripted(*lines)
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rollout = await attempt(QUESTION, prompt_of(QUESTION, setting), setting, 3, model, ledger)
        if rollout.stop_reason != "unfinished":
            ledger.finish(rollout)
    return model.lines, rollout


@pytest.mark.parametrize("code", REPEATABLE.values(), ids=REPEATABLE)
async def test_after_a_kill_what_chance_gave_is_given_again(tmp_path, setting, code):
    _, killed = await run(tmp_path, setting, call(code), KILLED)
    left, rollout = await run(tmp_path, setting, NEXT, ANSWER)
    assert (rollout.answer, rollout.redraws, left) == ("4", 0, [])
    assert rollout.rollout_id == killed.rollout_id and rollout.seed == session_seed(QUESTION.question_id, "tools", 3)


@pytest.mark.parametrize("code", UNREPEATABLE.values(), ids=UNREPEATABLE)
async def test_after_a_kill_what_cannot_be_given_again_is_begun_anew_once(tmp_path, setting, code):
    _, killed = await run(tmp_path, setting, call(code), KILLED)
    left, rollout = await run(tmp_path, setting, NEXT, "<python>'anew'</python>", ANSWER)
    assert (rollout.answer, rollout.redraws, left) == ("4", 1, [])
    assert [executed.result.text for executed in rollout.tool_calls] == ["'anew'"], "nothing of the first draw is left"
    assert rollout.sample_index == killed.sample_index == 3 and rollout.rollout_id != killed.rollout_id
    assert rollout.setting == killed.setting and rollout.seed == killed.seed


async def test_a_kill_during_the_redraw_is_resumed_in_it(tmp_path, setting):
    await run(tmp_path, setting, call(UNREPEATABLE["time"]), KILLED)
    _, killed = await run(tmp_path, setting, NEXT, "<python>'anew'</python>", KILLED)
    assert killed.redraws == 1 and killed.stop_reason == "unfinished"
    left, rollout = await run(tmp_path, setting, "<python>'on'</python>", ANSWER)
    assert (rollout.rollout_id, rollout.redraws, left) == (killed.rollout_id, 1, [])
    assert [executed.result.text for executed in rollout.tool_calls] == ["'anew'", "'on'"]


async def test_each_kill_costs_at_most_one_draw(tmp_path, setting):
    for draw in range(5):
        again = [NEXT] if draw else []  # for which the calls of the draw before are made again, in vain
        _, killed = await run(tmp_path, setting, *again, call(UNREPEATABLE["time"]), KILLED)
        assert killed.redraws == draw
    left, rollout = await run(tmp_path, setting, ANSWER)
    assert (rollout.answer, rollout.redraws, left) == ("4", 4, []), "no session was needed, so nothing is made again"


async def test_a_kill_before_the_mark_was_written_gives_the_draw_up_again(tmp_path, setting):
    _, killed = await run(tmp_path, setting, call(UNREPEATABLE["time"]), KILLED)
    kept = {path: path.read_bytes() for path in (tmp_path / "ledger").glob("*.parquet")}
    _, first = await run(tmp_path, setting, NEXT, ANSWER)
    for path in (tmp_path / "ledger").rglob("*.parquet"):
        path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
    _, second = await run(tmp_path, setting, NEXT, ANSWER)
    assert first.rollout_id == second.rollout_id != killed.rollout_id


class Breaking:
    """A tool whose sessions break after each call, and that gives another result each time."""

    name, description, version = "python", "Counts.", "1"
    parameters = {"type": "object", "properties": {"code": {"type": "string"}}}  # noqa: RUF012

    def __init__(self):
        self.calls = 0

    def open(self, images):
        return BreakingSession(self)


class BreakingSession:
    def __init__(self, tool):
        self.tool, self.here = tool, 0

    async def call(self, arguments):
        self.here += 1
        if self.here == 2:
            raise ToolInfrastructureError("the worker is gone")
        self.tool.calls += 1
        return ToolResult(outcome="ok", text=str(self.tool.calls))

    async def close(self):
        pass


async def test_a_tool_that_breaks_for_good_leaves_the_attempt_unfinished_and_the_next_run_goes_on(tmp_path, setting):
    use = Setting("tools", setting.dialect, {"python": Breaking()}, setting.sampling, setting.images)
    turns = [NEXT, NEXT] * (MOST_REDRAWS + 1)
    left, rollout = await run(tmp_path, use, *turns)
    assert (rollout.stop_reason, rollout.redraws, left) == ("unfinished", MOST_REDRAWS, [])
    assert rollout.error_class.startswith("ToolInfrastructureError: python: an earlier call gave something else")
    left, rollout = await run(tmp_path, use, ANSWER)
    assert (rollout.answer, rollout.redraws, left) == ("4", MOST_REDRAWS + 1, [])


async def test_without_a_ledger_too_an_attempt_is_begun_anew(setting):
    use = Setting("tools", setting.dialect, {"python": Breaking()}, setting.sampling, setting.images)
    model = Scripted(NEXT, NEXT, ANSWER)
    rollout = await attempt(QUESTION, prompt_of(QUESTION, use), use, 0, model, NoLedger())
    assert (rollout.answer, rollout.redraws, rollout.tool_calls) == ("4", 1, [])


async def test_the_seed_of_an_attempt_depends_on_question_arm_and_sample():
    seeds = {session_seed(q, arm, sample) for q in "ab" for arm in ("tools", "teacher") for sample in range(3)}
    assert len(seeds) == 12 and all(0 <= seed < 2**32 for seed in seeds)
    assert session_seed("a") == session_seed("a", "tools", 0), "what RL rows are exported with"
