"""The corpus tests/traps/searches.jsonl: what a query must find first, and what it must not find."""

import json
from pathlib import Path

from records.question import Document
from rollouts.tools._bm25 import Bm25Index, build_index

TRAPS = Path(__file__).parents[2] / "traps/searches.jsonl"


def test_every_line_holds(tmp_path):
    failed = []
    lines = [json.loads(line) for line in TRAPS.read_text().splitlines()]
    assert len(lines) > 40
    for number, line in enumerate(lines, 1):
        documents = [Document(document_id=title, title=title, text=text) for title, text in line["documents"].items()]
        index = Bm25Index(f"{tmp_path}/{build_index(documents, str(tmp_path))}")
        found = [sorted(line["documents"])[place] for place, _ in index.search(line["query"], 10)]
        if "first" in line and found[:1] != [line["first"]]:
            failed.append(f"line {number}: {line['query']} finds {found}: {line['because']}")
        if unwanted := set(line.get("not", [])) & set(found):
            failed.append(f"line {number}: {line['query']} finds {unwanted}: {line['because']}")
    assert not failed, "\n".join(failed)
