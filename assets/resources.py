"""What assets ask Dagster for: the workspace, the models behind its roles, and the store that tables go through."""

import contextlib
from collections.abc import Iterator

import dagster as dg
import polars as pl

from records.tables import TableFile
from records.workspace import Workspace
from rollouts.models.roles import Models


class WorkspaceResource(dg.ConfigurableResourceFactory[Workspace]):
    """Gives assets the workspace (records/workspace.py)."""

    recipe_file: str
    data: str
    ledger_at: str = ""

    def create_resource(self, context: dg.InitResourceContext) -> Workspace:
        """A workspace whose run begins now."""
        return Workspace(self.recipe_file, self.data, self.ledger_at)


class ModelsResource(dg.ConfigurableResourceFactory[Models]):
    """Gives assets the models behind the roles, whose local servers stop with the run."""

    workspace: dg.ResourceDependency[WorkspaceResource]
    one_server_at_a_time: bool = True

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Models]:
        """The models of one run."""
        say = context.log.info if context.log else None
        with Models(self.workspace, say, self.one_server_at_a_time) as models:
            yield models


class TableIOManager(dg.ConfigurableIOManager):
    """Assets hand each other tables through the workspace's table store."""

    workspace: dg.ResourceDependency[WorkspaceResource]

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame | TableFile) -> None:
        tables, name = self.workspace.tables, context.asset_key.path[-1]
        path = tables.adopt(name, obj) if isinstance(obj, TableFile) else tables.write(name, obj)
        table = tables.scan(name)
        schema = table.collect_schema()
        context.add_output_metadata(
            {
                "dagster/row_count": table.select(pl.len()).collect().item(),
                "dagster/column_schema": dg.TableSchema(
                    [dg.TableColumn(column, str(kind)) for column, kind in schema.items()]
                ),
                "table": dg.MetadataValue.path(path),
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
        """The table; for an input annotated as pl.LazyFrame one that is read as far as it is needed."""
        tables, name = self.workspace.tables, context.asset_key.path[-1]
        return tables.scan(name) if context.dagster_type.typing_type is pl.LazyFrame else tables.read(name)


def resources(workspace: Workspace) -> dict[str, object]:
    """The resources of all assets, for runs in this workspace."""
    place = WorkspaceResource(recipe_file=workspace.recipe_file, data=workspace.data, ledger_at=workspace.ledger_at)
    return {
        "workspace": place,
        "models": ModelsResource(workspace=place),
        "io_manager": TableIOManager(workspace=place),
    }
