"""Verdicts written down per version of the rules (golden.json).

    python -m tests.verdicts.golden      adds those of a new version, with the cases of the last one

What is written down for a version stays: stored verdicts of that version were reached so.
"""

import json
from pathlib import Path
from typing import Any

from records.question import Question
from verdicts.rules import VERSION, judge

PATH = Path(__file__).parent / "golden.json"


def written() -> dict[int, list[dict[str, Any]]]:
    """The cases with their verdicts, per version."""
    return {int(version): cases for version, cases in json.loads(PATH.read_text()).items()}


def judged(case: dict[str, Any]) -> dict[str, Any]:
    """A case with the verdict of the rules as they are."""
    question = Question(
        source="s", source_row="1", task="math", text="t", answer=case["gold"], answer_type=case["answer_type"],
        choices=case["choices"], aliases=case["aliases"],
    )  # fmt: skip
    verdict = judge(case["answer"], question)
    return {**case, "correct": verdict.correct, "how": verdict.how}


def main() -> None:
    versions = written()
    if VERSION in versions:
        raise SystemExit(f"the verdicts of version {VERSION} are written down; count verdicts.rules.VERSION up first")
    versions[VERSION] = [judged(case) for case in versions[max(versions)]]
    texts = [
        f' "{version}": [\n  ' + ",\n  ".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n ]"
        for version, cases in versions.items()
    ]
    PATH.write_text("{\n" + ",\n".join(texts) + "\n}\n")


if __name__ == "__main__":
    main()
