"""RL questions, to be practised on, with the prompt that their pass rates were measured with."""

from measurement.arms import tools_arm
from measurement.prepared_arm import PreparedArm
from measurement.toolbox import Toolbox
from records.question import Question, Reject
from records.tables import from_frame
from training.products import Product, ProductInput, RowEntry
from training.rows import RlRow, rl_rows


def make(inputs: ProductInput, rejects: list[Reject]) -> list[RlRow]:
    """A row for each question."""
    prepared = PreparedArm(tools_arm(inputs.recipe), Toolbox(inputs.workspace))
    questions = from_frame(inputs.tables["rl_questions"], Question)
    prompts = ((question, prepared.prompt(question)[1]) for question in questions)
    split_of = inputs.split_of("rl_questions")
    return list(rl_rows(prompts, inputs.rendering, split_of, inputs.recipe.tools, rejects))


def entry(row: RlRow) -> RowEntry:
    """The line of a row in the table."""
    return RowEntry(row.question.question_id, row.question.question_id, row.question.task, row.split)


PRODUCT = Product(
    name="rl",
    description="RL questions as the RL trainers read them, with the prompt that their pass rates were measured with",
    kind="rl",
    section="rl",
    source_table="rl_questions",
    id_column="question_id",
    make=make,
    entry=entry,
)
