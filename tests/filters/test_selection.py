import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from filters import selection
from records.recipe import Band, Route

ROUTES = [
    Route(to="rl", tools=Band(min=0.5), benefit=Band(min=0.25)),
    Route(to="cold_start", tools=Band(max=0.49)),
]
rates = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def tables(pairs):
    ids = [f"q{i}" for i in range(len(pairs))]
    questions = pl.DataFrame({"question_id": pl.Series(ids, dtype=pl.String)}).with_columns(
        task=pl.lit("math"), source=pl.lit("s")
    )
    measured = [(i, d, t, t - d, t - d - 0.3) for i, pair in zip(ids, pairs, strict=True) if pair for d, t in [pair]]
    columns = ["question_id", "direct", "tools", "benefit", "benefit_low"]
    schema = dict.fromkeys(columns, pl.Float64) | {"question_id": pl.String}
    return questions, pl.DataFrame(measured, schema=schema, orient="row")


@given(st.lists(st.none() | st.tuples(rates, rates), max_size=20))
def test_every_question_goes_one_way(pairs):
    questions, benefits = tables(pairs)
    kept, rejects = selection.apply(questions, benefits, ROUTES)
    assert sorted([*kept["question_id"], *rejects["row_id"]]) == sorted(questions["question_id"])


def test_the_first_route_that_fits_is_taken_and_rejects_say_why():
    questions, benefits = tables([(0.0, 0.5), (0.0, 0.25), (0.5, 0.5), (0.5, 0.55), None])
    kept, rejects = selection.apply(questions, benefits, ROUTES)
    assert dict(kept.select("question_id", "route").rows()) == {"q0": "rl", "q1": "cold_start"}
    assert dict(rejects.select("row_id", "reason").rows()) == {
        "q2": "tools_do_not_help",
        "q3": "no_route",
        "q4": "unmeasured",
    }
