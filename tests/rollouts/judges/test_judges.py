"""A verifier that asks a model is one new file: nothing else of the house is touched."""

import asyncio
import sys

import polars as pl
import pytest

import rollouts.judges
from measurement.verdicts import with_current_verdicts
from records.question import Question
from records.recipe.section import RecipeError
from records.tables import to_frame
from rollouts.judges import JudgeContext, build_verifier, verifier_names
from rollouts.judges.rules import RULES
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completion, ModelOutage, ModelUnavailable
from rollouts.pool import Pool
from rollouts.waves import OpenQuestion, Waves
from tests.rollouts.test_agent import QUESTION, Scripted, setting
from tests.rollouts.test_waves import prepare
from verdicts.rules import judged_with

MODULE = '''
"""A judge that asks a model whether an answer means the same as the right one."""

from records.identity import content_hash
from records.recipe.section import Section
from rollouts.models.contract import Completion, Request
from verdicts.rules import Verdict


class Options(Section):
    role: str = "judge"
    max_tokens: int = 1


class Judge:
    def __init__(self, options, context):
        self.options, self.model, self.calls = options, context.completer(options.role), context.calls

    def fingerprint(self, question):
        return content_hash(["judge", self.model.fingerprint, self.options.max_tokens, question.aliases])

    async def verify(self, answer, question):
        ask = f"{question.text} {answer} or {question.answer}: the same?"
        key = content_hash(["judge", self.fingerprint(question), question.question_id, answer])

        async def make():
            turn = {"role": "user", "content": ask}
            return vars(await self.model.complete(Request([turn], 0.0, 1.0, self.options.max_tokens, id=key)))

        reply = Completion(**await self.calls.once(key, "judge", key, make))
        return Verdict(reply.text == "yes", "model_judge")


def build(options, context):
    return Judge(options, context)
'''


class Equal:
    """A judge model that finds four and 4 the same; it fails as often as it is told to."""

    fingerprint = "equal"

    def __init__(self, error=None):
        self.asked, self.error = [], error

    async def complete(self, request):
        self.asked.append(request.messages[0]["content"])
        if self.error is not None:
            raise self.error
        return Completion("yes" if "four or 4" in self.asked[-1] else "no", "stop", 9, 1, 0.1)


@pytest.fixture
def judges(tmp_path, monkeypatch):
    """Builds the verifier dropped into the folder of verifiers."""
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges" / "model_judge.py").write_text(MODULE)
    monkeypatch.setattr(rollouts.judges, "__path__", [*rollouts.judges.__path__, str(tmp_path / "judges")])

    def build(model, ledger):
        return build_verifier("model_judge", {}, JudgeContext({"judge": model}.__getitem__, ledger))

    yield build
    sys.modules.pop("rollouts.judges.model_judge", None)


async def run(tmp_path, ledger, verifier, answers):
    model = Scripted(*(f"<answer>{answer}</answer>" for answer in answers))
    use = setting(tmp_path, None, turns=1)
    async with Pool(model, ledger, 1, print) as pool:
        waves = Waves(prepare(use), [len(answers)], lambda n, s: False, pool, "test", verifier=verifier)
        return await waves.roll_out([OpenQuestion(QUESTION)], 1)


def stored(ledger):
    ledger.flush()
    columns = ["rollout_id", "question_id", "stop_reason", "sample_index", "correct", "verdict", "judged_with"]
    return ledger.select(columns, pl.lit(True)).sort("sample_index")


async def test_a_model_judges_in_waves_through_the_ledger(tmp_path, judges):
    assert verifier_names() == ["model_judge", "rules"]
    model = Equal()
    with Ledger(str(tmp_path / "ledger")) as ledger:
        verifier = judges(model, ledger)
        assert await run(tmp_path, ledger, verifier, ["four", "five", "four"]) == []
        rows = stored(ledger)
        assert rows["correct"].to_list() == [True, False, True]
        assert set(rows["verdict"]) == {"model_judge"} and set(rows["judged_with"]) == {verifier.fingerprint(QUESTION)}
        assert ledger.made == {"model": 3, "tool": 0, "judge": 2} and ledger.reused["judge"] == 1
    with Ledger(str(tmp_path / "ledger")) as ledger:
        assert (await judges(model, ledger).verify("four", QUESTION)).correct
        assert ledger.made["judge"] == 0 and len(model.asked) == 2


async def test_a_judge_that_cannot_be_reached_leaves_the_rollout_unfinished(tmp_path, judges):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        late = await run(tmp_path, ledger, judges(Equal(ModelUnavailable("down")), ledger), ["four"])
        assert [r.error_class for r in late] == ["ModelUnavailable: down"] and late[0].correct is None
        assert stored(ledger).is_empty()
        assert await run(tmp_path, ledger, judges(Equal(), ledger), []) == []
        with pytest.raises(ModelOutage):
            await run(tmp_path, ledger, judges(Equal(ModelOutage("nothing goes through")), ledger), ["four"])


def test_stored_answers_are_judged_by_another_verifier_once(tmp_path, judges):
    questions = to_frame([QUESTION], Question)
    model = Equal()
    with Ledger(str(tmp_path / "ledger")) as ledger:
        asyncio.run(run(tmp_path, ledger, RULES, ["four", "4"]))
        rows = stored(ledger)
        assert rows["correct"].to_list() == [False, True]
        verifier = judges(model, ledger)
        for _ in range(2):
            current = with_current_verdicts(ledger, rows, questions, verifier)
            assert current["correct"].to_list() == [True, False] and len(model.asked) == 2
        assert with_current_verdicts(ledger, rows, questions).equals(rows)


async def test_the_rules_are_the_default(tmp_path):
    assert build_verifier("rules", {}, JudgeContext({}.__getitem__, None)) is RULES
    assert RULES.fingerprint(QUESTION) == judged_with("number", [])
    assert (await RULES.verify("4.0", QUESTION)).correct
    expression = QUESTION.model_copy(update={"answer": "x+x", "answer_type": "expression"})
    assert (await RULES.verify("2x", expression)).correct
    with pytest.raises(RecipeError, match="no verifier 'oracle'; known: rules"):
        build_verifier("oracle", {}, JudgeContext({}.__getitem__, None))
