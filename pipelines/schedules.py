"""When the data is refreshed."""

import dagster as dg

from pipelines.jobs import refresh
from records.recipe import Recipe


def nightly(recipe: Recipe) -> dg.ScheduleDefinition:
    """The refresh at the recipe's time. Off until switched on, in the UI or by `dagster schedule start`."""
    return dg.ScheduleDefinition(
        name="nightly_refresh",
        job=refresh,
        cron_schedule=recipe.nightly,
        description="Refreshes the training sets. A run with nothing new makes no model call.",
    )
