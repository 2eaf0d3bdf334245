import pytest

from rollouts.models.stop_strings import stopped_by


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ({"finish_reason": "stop"}, None),
        ({"finish_reason": "stop", "stop_reason": "</answer>"}, "</answer>"),
        ({"finish_reason": "stop", "stop_reason": None}, ""),
        ({"finish_reason": "stop", "stop_reason": 151645}, ""),
        ({"finish_reason": "stop", "matched_stop": "</answer>"}, "</answer>"),
        ({"finish_reason": "stop", "matched_stop": 2}, ""),
        ({"finish_reason": "stop", "stopping_word": "</answer>"}, "</answer>"),
        ({"finish_reason": "stop", "stopping_word": ""}, ""),
    ],
)
def test_the_stop_string_that_a_server_names(choice, named):
    assert stopped_by(choice) == named
