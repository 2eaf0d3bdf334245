"""A few sums asked of the stand-in model in the arms that are compared, as the asset asks them."""

import contextlib
import json

import dagster as dg
import polars as pl
import yaml

from assets.tool_benefit import tool_rollouts
from records.evidence import Evidence, write_evidence
from records.question import Question
from records.recipe import Recipe
from records.tables import to_frame
from records.workspace import Workspace
from rollouts.models.roles import Models
from tests.support.stand_in_model import ModelStandIn

RECIPE = {
    "name": "arms",
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {"policy": {"url": "-", "model": "stand-in", "revision": "1", "concurrency": 4, "max_retries": 2}},
    "tools": {"math": ["python"]},
    "sandbox": {"sessions": 4, "libraries": ["numpy"]},
    "difficulty": {"samples": 4, "keep": {"min": 0, "max": 2}},
    "tool_benefit": {
        "samples": 3,
        "controls": ["call_only", "result_only", "oracle"],
        "sampling": {"temperature": 0.7, "max_tokens": 64, "max_turns": 3},
    },
    "selection": [{"to": "rl"}],
}
AIDED = 2


def question(number, extra="{}"):
    a, b = number + 3, 5 * number + 11
    return Question(
        source="sums", source_row=str(number), task="math", text=f"What is {a} + {b}?", answer=str(a + b),
        answer_type="number", extra=extra,
    )  # fmt: skip


def aid(text):
    return json.dumps(write_evidence({"note": "kept"}, Evidence(texts=[text])))


def asked_of(questions):
    return to_frame(questions, Question).with_columns(split=pl.lit("curation"), chance=pl.lit(0.0))


QUESTIONS = [question(n, aid(f"The sum is {6 * n + 14}.") if n < AIDED else "{}") for n in range(5)]
ASKED = asked_of(QUESTIONS)


class Place:
    """A workspace, and its rollouts as a run of the asset makes them."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server

    @staticmethod
    def recipe_of(**changes):
        return Recipe.model_validate(RECIPE | {"tool_benefit": RECIPE["tool_benefit"] | changes})

    def workspace(self, **changes):
        """A workspace whose recipe differs from RECIPE in these settings of the comparison."""
        recipe = RECIPE | {"tool_benefit": RECIPE["tool_benefit"] | changes}
        recipe["models"] = {"policy": RECIPE["models"]["policy"] | {"url": self.server.url}}
        file = self.folder / f"recipe-{len(list(self.folder.glob('*.yaml')))}.yaml"
        file.write_text(yaml.safe_dump(recipe))
        return Workspace(recipe_file=str(file), data=str(self.folder / "data"))

    def roll(self, asked=ASKED, **changes):
        """The table, what was asked of the model (rollout keys), and the metadata."""
        before, workspace = self.server.asked(), self.workspace(**changes)
        models = Models(workspace)
        with dg.build_asset_context() as context:
            made = tool_rollouts(context, workspace=workspace, models=models, questions=asked, difficulty=asked)
        workspace.tables.adopt("tool_rollouts", made.value)
        metadata = {name: entry.value for name, entry in made.metadata.items()}
        return workspace.tables.read("tool_rollouts"), self.server.asked() - before, metadata


@contextlib.contextmanager
def new_place(folder):
    """A place without a rollout, with a server of its own."""
    with ModelStandIn(folder) as server:
        yield Place(folder, server)
