"""What every tool offers, how a recipe's tools are checked, and a new tool that is one new file."""

import pytest

from assets.graph import check_recipe
from records.images.store import ImageStore
from records.question import Question
from records.recipe import Recipe, RecipeError, Sampling
from records.recipe.section import Section
from rollouts import tools
from rollouts.agent import attempt
from rollouts.dialects import get_dialect
from rollouts.setting import Setting
from rollouts.tool_calls import NoLedger
from rollouts.tools import ToolContext, assets_of, build_tool, check_tools, get_tool, offered, tool_names
from tests.rollouts.test_agent import Scripted, prompt_of
from tests.support.dropped_in import dropped_in

TIMES = '''"""A tool that multiplies."""

from records.recipe import RecipeError
from records.recipe.section import Section
from records.trajectory import ToolResult

ASSET = "factors"


class Options(Section):
    """The settings of the tool."""

    factor: int = 2


def check(recipe):
    if recipe.seed == 13:
        raise RecipeError("tools: times is offered, but the seed is 13")


class TimesSession:
    def __init__(self, factor):
        self.factor = factor

    async def call(self, arguments):
        return ToolResult(outcome="ok", text=str(self.factor * int(arguments["number"])))

    async def close(self):
        pass


class Times:
    name, description = "times", "Multiplies."
    parameters = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}

    def __init__(self, factor):
        self.factor, self.version = factor, str(factor)

    def open(self, images):
        return TimesSession(self.factor)


def build(options, context):
    return Times(options.factor)
'''


def recipe(**changes) -> Recipe:
    values = {
        "name": "test",
        "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
        "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m"}},
        "selection": [{"to": "rl"}],
    }
    return Recipe.model_validate(values | changes)


def test_every_tool_keeps_the_contract():
    assert set(tool_names()) == {"python", "search"}
    for name in tool_names():
        module = get_tool(name)
        assert issubclass(module.Options, Section) and callable(module.build) and module.__doc__


def test_the_recipe_says_which_tools_are_offered_and_which_assets_they_are_built_from():
    both = recipe(tools={"math": ["python"], "search": ["search", "python"]})
    assert offered(both) == ["python", "search"]
    assert assets_of(both) == ["search_index"]
    assert assets_of(recipe(tools={"math": ["python"]})) == assets_of(recipe()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tools": {"math": ["pyhton"]}}, r"r.yaml: tools.math: there is no tool 'pyhton'; known: python, search"),
        ({"tool_options": {"pyhton": {}}}, r"r.yaml: tool_options: there is no tool 'pyhton'; known: python, search"),
        ({"tool_options": {"python": {"cpus": 2}}}, r"r.yaml: tool_options.python: .* are given under 'sandbox'"),
        ({"tools": {"search": ["search"]}}, r"r.yaml: tools: search is offered, but search.corpus names no corpus"),
    ],
)
def test_wrong_tools_name_file_key_and_what_is_allowed(changes, message):
    with pytest.raises(RecipeError, match=message):
        check_tools(recipe(**changes), "r.yaml")


async def test_a_new_tool_is_one_new_file(tmp_path):
    with dropped_in(tools, "times", TIMES, tmp_path):
        use = recipe(tools={"math": ["times"]}, tool_options={"times": {"factor": 7}})
        check_recipe(use, "r.yaml")
        assert assets_of(use) == ["factors"]
        with pytest.raises(RecipeError, match=r"r.yaml: tool_options.times.facter: no such key"):
            check_recipe(recipe(tools={"math": ["times"]}, tool_options={"times": {"facter": 7}}), "r.yaml")
        with pytest.raises(RecipeError, match=r"r.yaml: tools: times is offered, but the seed is 13"):
            check_recipe(recipe(tools={"math": ["times"]}, seed=13), "r.yaml")

        images = ImageStore(str(tmp_path / "images"))
        tool = build_tool("times", ToolContext(use, images, str(tmp_path)))
        question = Question(source="s", source_row="1", task="math", text="6 * 7?", answer="42", answer_type="number")
        setting = Setting("tools", get_dialect("plain_tags"), {"times": tool}, Sampling(max_turns=2), images)
        prompt = prompt_of(question, setting)
        model = Scripted("<times>6</times>", "<answer>42</answer>")
        rollout = await attempt(question, prompt, setting, 0, model, NoLedger())
        assert [call.result.text for call in rollout.tool_calls] == ["42"] and rollout.answer == "42"
        assert rollout.tool_versions == '{"times":"7"}'
    assert tool_names() == ["python", "search"]
