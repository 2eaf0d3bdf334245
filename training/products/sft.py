"""Cold-start trajectories, to be imitated."""

from records.question import Reject
from records.tables import from_frame
from records.trajectory import Trajectory
from rollouts.dialects import with_thought
from training.products import Product, ProductInput, RowEntry
from training.rows import SftRow, sft_rows


def make(inputs: ProductInput, rejects: list[Reject]) -> list[SftRow]:
    """A row for each trajectory, with the reasoning that the server gave apart from its turns if the recipe says so."""
    tasks = dict(inputs.tables["cold_start_questions"].select("question_id", "task").iter_rows())
    trajectories = from_frame(inputs.tables["trajectories"], Trajectory)
    if inputs.recipe.sft.reasoning:
        trajectories = [
            trajectory.model_copy(update={"messages": [with_thought(message) for message in trajectory.messages]})
            for trajectory in trajectories
        ]
    split_of = inputs.split_of("cold_start_questions", {trajectory.question_id for trajectory in trajectories})
    return list(sft_rows(trajectories, inputs.rendering, split_of, tasks, rejects))


def entry(row: SftRow) -> RowEntry:
    """The line of a row in the table."""
    return RowEntry(row.row_id, row.question_id, row.task, row.split)


PRODUCT = Product(
    name="sft",
    description="Cold-start trajectories as the SFT trainers read them",
    kind="sft",
    section="sft",
    source_table="trajectories",
    id_column="trajectory_id",
    make=make,
    entry=entry,
    more_tables=("cold_start_questions",),
)
