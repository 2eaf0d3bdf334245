"""What assets ask Dagster for: the workspace, the models behind its roles, and the store that tables go through."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from records.tables import TableFile
from records.workspace import Workspace
from reports.columns import COLUMNS
from rollouts.models.roles import Models


class TableIOManager(dg.IOManager):
    """Assets hand each other tables through the workspace's table store."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame | TableFile) -> None:
        tables, name = self.workspace.tables, context.asset_key.path[-1]
        path = tables.adopt(name, obj) if isinstance(obj, TableFile) else tables.write(name, obj)
        table = tables.scan(name)
        schema = table.collect_schema()
        context.add_output_metadata(
            {
                "dagster/row_count": table.select(pl.len()).collect().item(),
                "dagster/column_schema": dg.TableSchema(
                    [
                        dg.TableColumn(column, str(kind), description=COLUMNS.get(column))
                        for column, kind in schema.items()
                    ]
                ),
                "table": dg.MetadataValue.path(path),
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
        """The table; for an input annotated as pl.LazyFrame one that is read as far as it is needed."""
        tables, name = self.workspace.tables, context.asset_key.path[-1]
        return tables.scan(name) if context.dagster_type.typing_type is pl.LazyFrame else tables.read(name)


def resources(workspace: Workspace) -> dict[str, dg.ResourceDefinition]:
    """The resources of all assets, for runs in this workspace. Each run gets a workspace that begins with it."""

    @dg.resource(description="The recipe, and the folder of its tables, images, ledger and checkpoints.")
    def of_run(_context: dg.InitResourceContext) -> Workspace:
        opened = Workspace(workspace.recipe_file, workspace.data, workspace.ledger_at)
        opened.claim()
        return opened

    @dg.resource(
        required_resource_keys={"workspace"},
        description="The models behind the recipe's roles; local servers start when called and stop with the run.",
    )
    def models(context: dg.InitResourceContext) -> Iterator[Models]:
        with Models(context.resources.workspace, context.log.info if context.log else None) as opened:
            yield opened

    @dg.io_manager(required_resource_keys={"workspace"}, description="The workspace's table store.")
    def tables(context: dg.InitResourceContext) -> TableIOManager:
        return TableIOManager(context.resources.workspace)

    return {"workspace": of_run, "models": models, "io_manager": tables}
