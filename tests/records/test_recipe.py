import pytest
import yaml

from records.recipe import ToolBenefit, read_recipe
from records.recipe.section import RecipeError

GOOD = {
    "name": "small",
    "sources": [{"name": "sums", "loader": "reasoning_gym"}],
    "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m"}},
    "selection": [{"to": "rl", "tools": {"min": 0.5}}],
}


def write(tmp_path, **changes):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


def test_a_good_recipe_is_read(tmp_path):
    recipe = read_recipe(write(tmp_path))
    assert recipe.models.role("teacher") is recipe.models.policy
    assert recipe.difficulty.keep.max == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dificulty": {}}, "dificulty: no such key (did you mean 'difficulty'?)"),
        ({"sources": [{"name": "a", "loader": "b", "limt": 3}]}, "sources.0.limt: no such key (did you mean 'limit'?)"),
        ({"difficulty": {"samples": 4, "waves": [2, 3], "keep": {"max": 1}}}, "waves [2, 3] add up to 5"),
        ({"difficulty": {"samples": 4, "keep": {"max": 9}}}, "keep 0 to 9 does not lie within 0 to 4 samples"),
        ({"difficulty": {"samples": "many"}}, "difficulty.samples: Input should be a valid integer"),
        ({"selection": [{"to": "sft"}]}, "selection.0.to: Input should be 'rl' or 'cold_start'; given: 'sft'"),
        ({"models": {"policy": {"url": "http://x/v1"}}}, "models.policy: a url also needs model"),
        ({"models": {"policy": {}}}, "models.policy: give exactly one of url, weights, same_as"),
        ({"tools": {"search": ["search"]}}, "search.corpus names no corpus"),
        ({"tool_benefit": {"sampling": {"temperature": 0.7}}}, "max_turns must be at least 2"),
        ({"tool_benefit": {"further": 2, "samples": 8, "most_samples": 12}}, "further rollouts can only go to"),
        ({"tool_benefit": {"samples": 100}}, "tool_benefit.samples: Input should be less than or equal to 64"),
        (
            {
                "models": {"policy": {"weights": {"path": "m"}, "serve": {"max_model_len": 1024}}},
                "tool_benefit": {"sampling": {"max_turns": 4, "max_tokens": 300}},
            },
            "an attempt may write 1200 tokens in all, but models.policy.serve.max_model_len is 1024",
        ),
        ({"sources": []}, "sources: List should have at least 1 item"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path, changes, says):
    path = write(tmp_path, **changes)
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    assert str(error.value).startswith(str(path)) and says in str(error.value)


def test_further_rollouts_have_looks_of_their_own():
    assert ToolBenefit(samples=4, most_samples=32).looks == (4,)
    assert ToolBenefit(samples=4, most_samples=31, further=1).looks == (4, 8, 16)
    assert ToolBenefit(sampling={"max_turns": 3, "max_tokens": 100}).tokens == 300


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such recipe file"):
        read_recipe(tmp_path / "none.yaml")
    for text in ("[1, 2]", "a: [", "just text"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(RecipeError, match=r"bad\.yaml"):
            read_recipe(tmp_path / "bad.yaml")
