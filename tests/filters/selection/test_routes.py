import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.selection import measured, routes
from records.recipe import Band, Route

DECISIONS = ("gain", "harm", "none", "open")
COLUMNS = [
    "question_id", "direct_attempts", "direct_right", "tools_attempts", "tools_right", "direct", "tools",
    "benefit", "benefit_low", "benefit_high", "gain_probability", "decision",
]  # fmt: skip
COUNTS = ("direct_attempts", "direct_right", "tools_attempts", "tools_right")
SCHEMA = {"question_id": pl.String} | {c: pl.Int64 if c in COUNTS else pl.Float64 for c in COLUMNS[1:]}
SCHEMA["decision"] = pl.String


def tables(measures):
    """Questions, and the benefits of those with a measure: right answers of 4 in both arms, decision, probability."""
    ids = [f"q{i}" for i in range(len(measures))]
    questions = pl.DataFrame(
        {"question_id": pl.Series(ids, dtype=pl.String), "task": "math", "source": "s"},
        schema={"question_id": pl.String, "task": pl.String, "source": pl.String},
    )
    rows = []
    for name, measure in zip(ids, measures, strict=True):
        if measure is not None:
            d, t, decision, probability = measure
            benefit = (t - d) / 4
            rows.append((name, 4, d, 4, t, d / 4, t / 4, benefit, benefit - 0.3, benefit + 0.2, probability, decision))
    return questions, pl.DataFrame(rows, schema=SCHEMA, orient="row")


def routed(tables, given_routes):
    return routes.apply(measured(*tables), routes.Options(routes=given_routes), 0)


right = st.integers(0, 4)
measures_of_one = st.none() | st.tuples(right, right, st.sampled_from(DECISIONS), st.floats(0, 1))
bands = st.builds(
    lambda low, width: Band(min=low, max=None if low is None or width is None else low + width),
    st.none() | st.floats(-1, 1),
    st.none() | st.floats(0, 1),
)
some_route = st.builds(
    Route,
    to=st.sampled_from(["rl", "cold_start"]),
    direct=bands,
    tools=bands,
    benefit=bands,
    benefit_low=bands,
    gain_probability=bands,
    decision=st.none() | st.lists(st.sampled_from(DECISIONS), unique=True),
)


def fits(row, route):
    """A route's own words, for one question."""
    for name in ("direct", "tools", "benefit", "benefit_low", "gain_probability"):
        band = getattr(route, name)
        if band.min is not None and row[name] < band.min - 1e-9:
            return False
        if band.max is not None and row[name] > band.max + 1e-9:
            return False
    return row["decision"] != "harm" if route.decision is None else row["decision"] in route.decision


@settings(max_examples=60, deadline=None)
@given(st.lists(measures_of_one, max_size=12), st.lists(some_route, min_size=1, max_size=3))
def test_every_question_goes_one_way_by_the_first_route_that_fits(drawn, given_routes):
    questions, benefits = tables(drawn)
    kept, rejects = routed((questions, benefits), given_routes)
    assert sorted([*kept["question_id"], *rejects["row_id"]]) == sorted(questions["question_id"])
    expected = {}
    for row in benefits.iter_rows(named=True):
        route = next((route.to for route in given_routes if fits(row, route)), None)
        expected |= {row["question_id"]: route} if route else {}
    assert dict(kept.select("question_id", "route").iter_rows()) == expected
    assert rejects["reason"].null_count() == rejects["detail"].null_count() == 0


ROUTES = [
    Route(to="rl", tools=Band(min=0.5), benefit=Band(min=0.25)),
    Route(to="cold_start", tools=Band(max=0.49), gain_probability=Band(min=0.3)),
]


def test_rejects_say_why():
    drawn = [
        (0, 2, "open", 0.9),  # rl
        (0, 1, "open", 0.4),  # cold start
        (2, 2, "none", 0.6),
        (2, 2, "open", 0.4),
        (2, 2, "open", 0.5),
        (4, 0, "harm", 0.9),
        None,
    ]
    kept, rejects = routed(tables(drawn), ROUTES)
    assert dict(kept.select("question_id", "route").rows()) == {"q0": "rl", "q1": "cold_start"}
    assert dict(rejects.select("row_id", "reason").rows()) == {
        "q2": "tools_do_not_help",
        "q3": "tools_do_not_help",
        "q4": "no_route",
        "q5": "tools_harm",
        "q6": "unmeasured",
    }
    details = dict(rejects.select("row_id", "detail").rows())
    assert details["q5"] == (
        "right 4 of 4 without and 0 of 4 with tools; benefit -1.0 (-1.3 to -0.8), probability of a gain 0.9"
    )
    assert details["q6"] == "no finished attempt in one of the arms"
    assert set(rejects["stage"]) == {"selection"} and set(rejects["task"]) == {"math"}


@pytest.mark.parametrize(("decision", "goes"), [(None, False), (["gain"], False), (["harm", "open"], True)])
def test_a_question_that_tools_harm_goes_only_where_it_is_asked_for(decision, goes):
    kept, rejects = routed(tables([(4, 0, "harm", 0.0)]), [Route(to="rl", decision=decision)])
    assert (kept.height, rejects.height) == ((1, 0) if goes else (0, 1))


def test_the_decision_asked_for_is_needed():
    kept, rejects = routed(tables([(0, 4, "gain", 0.99), (0, 3, "open", 0.9)]), [Route(to="rl", decision=["gain"])])
    assert kept["question_id"].to_list() == ["q0"] and rejects["reason"].to_list() == ["no_route"]


def test_what_was_measured_counts_and_not_what_the_question_was_chosen_by():
    questions, benefits = tables([(0, 1, "open", 0.4), (0, 4, "gain", 0.9)])
    chosen_by = questions.with_columns(direct_attempts=8, direct_right=7, direct_pass_rate=0.875)
    benefits = benefits.with_columns(task=pl.lit("math"), source=pl.lit("s"), chance=0.5)
    kept, rejects = routed((chosen_by, benefits), ROUTES[:1])
    assert kept.select("direct_attempts", "direct_right", "direct_pass_rate", "task").rows() == [(4, 0, 0.875, "math")]
    assert rejects["detail"].item().startswith("right 0 of 4 without and 1 of 4 with tools")
    assert len(set(kept.columns)) == len(kept.columns)
