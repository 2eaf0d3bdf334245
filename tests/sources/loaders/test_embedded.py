"""The real sources that need no hub."""

import collections
import json

import pytest

from records.evidence import read_evidence
from records.images.store import ImageStore, check_image
from records.question import Question, Reject
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.loaders import reasoning_gym, world_factbook
from sources.loaders._factbook_fields import FIELDS
from sources.loaders._factbook_pages import Page
from sources.open import load_source
from verdicts.rules import judge


def items(tmp_path, loader, limit=None, seed=0, **options):
    spec = Source(name="src", loader=loader, limit=limit, options=options)
    return list(load_source(spec, seed, ImageStore(str(tmp_path / "images"))))


def split(rows):
    return [r for r in rows if isinstance(r, Question)], [r for r in rows if isinstance(r, Reject)]


def own_score(dataset, answer, entry):
    """The task's own score; some scorers raise for what is no answer at all."""
    try:
        return dataset.score_answer(answer, entry)
    except ValueError:
        return 0.0


def corrupted(answer):
    """Wrong answers that look like the right one: another last digit or letter, one character more in front."""
    last = answer[-1]
    other = str((int(last) + 5) % 10) if last.isdigit() else "q" if last.isalpha() else "7"
    # The last digits of a long decimal are within anybody's tolerance.
    if "." in answer and last.isdigit():
        return [f"9{answer.lstrip('-')}", str(float(answer) * 1.5 + 1)]
    return [answer[:-1] + other, f"9{answer.lstrip('-')}", answer + "9"]


class TestEasyVqa:
    def test_kinds_are_drawn_by_their_shares(self, tmp_path):
        questions, rejects = split(items(tmp_path, "easy_vqa", 60, kinds={"yes_no": 1, "shape": 2, "colour": 3}))
        assert not rejects
        assert collections.Counter(json.loads(q.extra)["kind"] for q in questions) == {
            "yes_no": 10,
            "shape": 20,
            "colour": 30,
        }
        store = ImageStore(str(tmp_path / "images"))
        for q in questions:
            assert (q.task, q.licence, q.choices) == ("perception", "MIT", [])
            assert check_image(store.get(q.images[0])) == (64, 64)
            assert q.answer_type == ("boolean" if q.answer in ("yes", "no") else "short_text")
            assert judge(q.answer.upper(), q).correct and not judge("purple", q).correct

    def test_the_seed_decides(self, tmp_path):
        first = items(tmp_path, "easy_vqa", 12)
        assert items(tmp_path, "easy_vqa", 12) == first
        assert items(tmp_path, "easy_vqa", 12, seed=1) != first

    def test_a_broken_image_is_a_reject(self, tmp_path, monkeypatch):
        import easy_vqa

        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no image")
        monkeypatch.setattr(easy_vqa, "get_test_questions", lambda: (["a?", "b?"], ["red", "yes"], [0, 1]))
        monkeypatch.setattr(easy_vqa, "get_test_image_paths", lambda: {0: str(broken)})
        rows = items(tmp_path, "easy_vqa", split="test")
        assert [(r.row_id, r.stage, r.reason) for r in rows] == [
            ("src:test/0", "source", "not_an_image"),
            ("src:test/1", "source", "image_missing"),
        ]


class TestReasoningGym:
    @pytest.fixture(autouse=True)
    def gym(self):
        return reasoning_gym.library("test")

    @pytest.mark.parametrize("name", reasoning_gym.TASKS)
    def test_the_verdict_agrees_with_the_tasks_own_scorer(self, name, gym, tmp_path):
        """They agree on the right answer, other problems' answers and answers changed in one place."""
        rows = items(tmp_path, "reasoning_gym", tasks={name: {"count": 8}})
        questions, rejects = split(rows)
        assert len(questions) == 8 and not rejects
        task = reasoning_gym.TaskOptions(count=8)
        dataset = reasoning_gym.create(gym, name, task, 0, "src")
        for number, question in enumerate(questions):
            entry = dataset[number]
            assert question.source_row == f"{name}/{number}" and question.answer == entry["answer"]
            tried = {question.answer, *(q.answer for q in questions), *corrupted(question.answer), "", "nothing"}
            for answer in tried:
                own = own_score(dataset, answer, entry) == 1.0
                assert judge(answer, question).correct == own, (name, question.answer, answer)

    def test_problems_do_not_change_with_the_count_and_do_with_the_seed(self, tmp_path):
        few = items(tmp_path, "reasoning_gym", tasks={"gcd": {"count": 3}, "lcm": {"count": 2}})
        many = items(tmp_path, "reasoning_gym", tasks={"gcd": {"count": 6}})
        assert many[:3] == few[:3] and len(few) == 5
        assert items(tmp_path, "reasoning_gym", tasks={"gcd": {"count": 3}}, seed=1) != few[:3]
        assert len(items(tmp_path, "reasoning_gym", 4, tasks={"gcd": {"count": 3}, "lcm": {"count": 9}})) == 4

    def test_unknown_tasks_and_settings_are_errors(self, tmp_path):
        with pytest.raises(RecipeError, match=r"tasks.gcd: .*max_termz"):
            items(tmp_path, "reasoning_gym", tasks={"gcd": {"config": {"max_termz": 1}}})
        with pytest.raises(RecipeError, match=r"tasks.no_task"):
            items(tmp_path, "reasoning_gym", tasks={"no_task": {"answer_type": "number"}})


class TestWorldFactbook:
    @pytest.fixture
    def rows(self, tmp_path):
        return items(tmp_path, "world_factbook")

    def test_every_row_is_a_question_or_a_reject(self, rows):
        questions, rejects = split(rows)
        assert len(rows) == 254 * len(FIELDS)
        assert len({r.source_row for r in questions} | {r.row_id for r in rejects}) == len(rows)
        fields = collections.Counter(json.loads(q.extra)["field"] for q in questions)
        assert set(fields) == set(FIELDS) and min(fields.values()) > 50
        assert {r.reason for r in rejects} <= {
            "empty_field", "several_answers", "no_short_answer", "too_many_answers", "unreadable", "zero",
        }  # fmt: skip
        assert {r.stage for r in rejects} == {"source"}

    def test_known_facts(self, rows):
        questions = {q.source_row: q for q in split(rows)[0]}
        for row, answers in {
            "gm/capital": ["Berlin"],
            "us/capital": ["Washington, DC", "Washington D.C.", "washington"],
            "co/capital": ["Bogotá", "Bogota"],
            "vm/capital": ["Hanoi", "Ha Noi"],
            "fr/currency": ["euro", "EUR", "Euros"],
            "sw/currency": ["Swedish krona", "krona", "SEK"],
            "gm/internet_code": [".de", "de"],
            "ja/highest_point": ["Mount Fuji", "Fuji"],
            "cd/area": ["1,284,000 sq km", "1.284 million"],
            "sz/area": ["41277"],
            "gh/independence_year": ["1957"],
            "mx/neighbours": ["the United States, Guatemala and Belize", "US, Belize, Guatemala"],
            "sa/official_language": ["Arabic"],
        }.items():
            for answer in answers:
                assert judge(answer, questions[row]).correct, (row, answer, questions[row])
        assert not judge("dollar", questions["ca/currency"]).correct
        assert not judge("Kenya", questions["ke/highest_point"]).correct
        assert "sf/capital" not in questions  # South Africa has three

    def test_answers_read_right_to_the_verdict_and_to_the_filters(self, rows):
        from filters.duplicates import exact as duplicates
        from filters.questions import verifiable, wording
        from records.recipe.questions import Wording
        from records.tables import to_frame

        questions, _ = split(rows)
        for q in questions:
            assert all(judge(a, q).correct for a in [q.answer, *q.aliases]), q
        kept, rejects = verifiable.apply(to_frame(questions, Question))
        assert rejects.is_empty()
        kept, rejects = wording.apply(kept, Wording())
        assert set(rejects["reason"]) == {"answer_in_question"} and rejects.height < 20
        assert duplicates.apply(kept)[1].is_empty()

    def test_the_evidence_is_the_field_that_holds_the_answer(self, rows):
        questions = {q.source_row: q for q in split(rows)[0]}
        evidence = {row: read_evidence(q.extra).texts for row, q in questions.items()}
        assert evidence["gm/capital"] == ["Germany: Government: Capital, name: Berlin"]
        assert evidence["gm/airports"] == ["Germany: Transportation: Airports: 840 (2025)"]
        assert evidence["cd/area"] == ["Chad: Geography: Area, total: 1.284 million sq km"]
        assert evidence["sa/official_language"] == ["Saudi Arabia: People and Society: Languages: Arabic (official)"]
        assert max(len(text.split()) for (text,) in evidence.values()) < 80
        parts = {row: q.answer.split(", ") if q.answer_type == "set" else [q.answer] for row, q in questions.items()}
        cut = [row for row, (t,) in evidence.items() if not all(p in t or p in t.replace(",", "") for p in parts[row])]
        assert len(cut) < 10  # answers that are written out or shortened: 1267000 for 1.267 million

    def test_a_limit_is_shared_by_the_fields(self, tmp_path):
        rows = items(tmp_path, "world_factbook", 20, fields=["capital", "currency"])
        names = [(r.source_row if isinstance(r, Question) else r.row_id).split("/")[-1] for r in rows]
        assert collections.Counter(names) == {"capital": 10, "currency": 10}

    def test_a_long_field_is_cut_in_the_evidence(self):
        page = Page("xx", "Nowhere", {})
        text = world_factbook._gold_page(page, ("Geography", "Coastline"), "word " * 61).texts[0]
        assert text == "Nowhere: Geography: Coastline: " + "word " * 60 + "…"

    def test_documents_name_their_country(self):
        documents = list(world_factbook.documents(world_factbook.Options()))
        assert len({d.document_id for d in documents}) == len(documents) > 5000
        germany = [d for d in documents if d.title.startswith("Germany: ")]
        assert any("Capital, name: Berlin" in d.text for d in germany)
        assert not any(("<" in d.text and "</" in d.text) or "&nbsp;" in d.text for d in documents)
