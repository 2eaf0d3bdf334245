"""The registry of evaluation benchmarks: each mapping on a small file with the published columns."""

import pytest

from records.recipe.questions import Benchmark
from sources.mapping.published import published_names, read_published
from tests.sources.mapping import published_benchmarks, published_text
from tests.sources.mapping.test_published_text import check_case, check_missing

CASES = {
    **published_benchmarks.ROWS,
    **{n: published_text.ROWS[n] for n in ("gsm8k_test", "math_test", "hotpotqa_dev")},
}
BENCHMARKS = sorted(n for n in published_names() if read_published(n).use == "evaluation")


def test_every_benchmark_has_rows_to_be_tested_on():
    assert sorted(CASES) == BENCHMARKS


@pytest.mark.parametrize("name", BENCHMARKS)
def test_published_rows_become_questions(tmp_path, name):
    check_case(name, CASES[name], tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_missing_column_is_named(tmp_path, name):
    check_missing(name, CASES[name], tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_recipe_can_name_it(name):
    assert Benchmark(name=name, options={"published": name}).name == name
    mapping = read_published(name)
    assert all((mapping.about, mapping.columns_known_from, mapping.notes, mapping.options["path"]))
