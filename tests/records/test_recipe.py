import pytest
import yaml

from records import recipe as package
from records.recipe import EvaluationSource, Recipe, RecipeError, Source, ToolBenefit, read_recipe

POLICY = {"url": "http://127.0.0.1:1/v1", "model": "m"}
GOOD = {
    "name": "small",
    "sources": [{"name": "sums", "loader": "reasoning_gym"}],
    "models": {"policy": POLICY},
    "selection": [{"to": "rl", "tools": {"min": 0.5}}],
}


def write(tmp_path, **changes):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


def models(**roles):
    return {"policy": POLICY, **roles}


def test_a_good_recipe_is_read(tmp_path):
    recipe = read_recipe(write(tmp_path))
    assert recipe.models.role("teacher") is recipe.models.policy
    assert recipe.difficulty.keep.max == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"models": {"policy": POLICY, "techer": POLICY}}, "techer: did you mean 'teacher'?"),
        ({"dificulty": {}}, "dificulty: no such key (did you mean 'difficulty'?)"),
        ({"sources": [{"name": "a", "loader": "b", "limt": 3}]}, "sources.0.limt: no such key (did you mean 'limit'?)"),
        ({"difficulty": {"samples": 4, "waves": [2, 3], "keep": {"max": 1}}}, "waves [2, 3] add up to 5"),
        ({"difficulty": {"samples": 4, "keep": {"max": 9}}}, "keep 0 to 9 does not lie within 0 to 4 samples"),
        ({"difficulty": {"samples": "many"}}, "difficulty.samples: Input should be a valid integer"),
        ({"selection": [{"to": "sft"}]}, "selection.0.to: Input should be 'rl' or 'cold_start'; given: 'sft'"),
        ({"models": {"policy": {"url": "http://x/v1"}}}, "models.policy: a url also needs model"),
        ({"models": {"policy": {}}}, "models.policy: give exactly one of url, weights, same_as"),
        ({"models": models(judge={"url": "http://x/v1", "modl": "m"})}, "models.judge.modl: no such key (did you mean"),
        ({"models": models(judge={})}, "models.judge: give exactly one of url, weights, same_as"),
        ({"models": models(Judge={"same_as": "policy"})}, "models.Judge: String should match pattern"),
        ({"models": models(policy={"same_as": "teacher"})}, "models: policy: same_as is for the other roles"),
        ({"models": models(judge={"same_as": "critic"})}, "judge.same_as: there is no role 'critic'; known: policy"),
        (
            {"models": models(judge={"same_as": "critic"}, critic={"same_as": "judge"})},
            "critic.same_as: the roles lead in a circle: critic -> judge -> critic",
        ),
        ({"models": {"teacher": POLICY}}, "models.policy: this key is needed"),
        ({"sources": [{"name": "a", "loader": "b", "evaluation": True}]}, "sources.0.evaluation: no such key"),
        ({"tool_benefit": {"max_sample": 8}}, "max_sample: no such key (did you mean 'max_samples'?)"),
        ({"tool_benefit": {"max_samples": 0}}, "tool_benefit.max_samples: Input should be greater than"),
        (
            {"difficulty": {"error": 0.1, "max_flip_probability": 0.1}},
            "difficulty.max_flip_probability: this is another spelling of error, which is given as well",
        ),
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


def test_a_role_may_have_any_name_and_another_roles_model(tmp_path):
    roles = models(
        judge={"url": "http://j/v1", "model": "j"}, critic={"same_as": "judge"}, second={"same_as": "critic"}
    )
    recipe = read_recipe(write(tmp_path, models=roles))
    assert recipe.models.role("second") is recipe.models.role("judge") is recipe.models.judge
    assert recipe.models.owner("second") == "judge" and recipe.models.owner("teacher") == "policy"
    with pytest.raises(RecipeError, match="no role 'critics'; known: policy, teacher, critic, judge, second"):
        recipe.models.role("critics")
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("section", "name", "other", "value"),
    [
        ("tool_benefit", "further", "extra_rollouts_per_question", 2.5),
        ("tool_benefit", "most_samples", "max_samples", 24),
        ("difficulty", "error", "max_flip_probability", 0.05),
    ],
)
def test_a_key_with_two_spellings_means_the_same_in_both(tmp_path, section, name, other, value):
    old = read_recipe(write(tmp_path, **{section: {name: value}}))
    assert read_recipe(write(tmp_path, **{section: {other: value}})) == old
    assert getattr(getattr(old, section), name) == value


def test_the_program_alone_says_what_is_an_evaluation_set():
    assert not Source(name="a", loader="files").evaluation
    assert EvaluationSource(name="a", loader="files").evaluation


def test_result_images_follow_the_rules_of_the_questions_images(tmp_path):
    def shape(**changes):
        sandbox = read_recipe(write(tmp_path, **changes)).sandbox
        return sandbox.image_min_side, sandbox.image_max_aspect

    images = {"images": {"min_side": 32, "max_aspect": 100}}
    assert shape() == (28, 200)
    assert shape(questions=images) == (32, 100)
    assert shape(questions=images, sandbox={"image_min_side": 10}) == (10, 100)


def test_every_public_name_of_the_package_is_there():
    assert sorted(package.__all__) == package.__all__ and all(hasattr(package, name) for name in package.__all__)


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
