from hypothesis import given
from hypothesis import strategies as st

from assets.conservation import conservation

ids = st.lists(st.sampled_from("abcdefgh"), max_size=12)


@given(ids, st.integers(0, 12))
def test_a_split_of_all_rows_passes_in_any_order(rows, cut):
    assert conservation(rows, rows[cut:][::-1], rows[:cut]).passed


@given(ids, ids, ids)
def test_conservation_holds_exactly_when_the_ids_are_the_same(before, kept, rejected):
    assert conservation(before, kept, rejected).passed == (sorted(before) == sorted(kept + rejected))


def test_what_is_lost_or_doubled_is_counted():
    result = conservation(["a", "b", "c"], ["a", "a"], ["c"])
    assert not result.passed
    assert (result.metadata["lost"].value, result.metadata["too_many"].value) == (1, 1)
