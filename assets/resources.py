"""What assets ask Dagster for: the workspace (recipe, tables, images), and the models behind their roles."""

import os
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import dagster as dg
import fsspec
import polars as pl
from fsspec.implementations.local import LocalFileSystem
from pydantic import PrivateAttr

from records.images.store import ImageStore
from records.recipe import Model, Recipe, read_recipe
from records.tables import TableFile, TableStore
from rollouts.models.connections import EndpointLimits
from rollouts.models.endpoint import Endpoint
from rollouts.models.local_server import LocalServer
from rollouts.models.merge_lora import merged
from rollouts.models.served_models import remote_fingerprint
from rollouts.models.weights import ModelFiles, identity_of_directory, resolve_weights
from rollouts.tools import Tool, ToolContext, build_tool
from training.job import Clock, Heartbeat

_read_recipe = lru_cache(maxsize=8)(read_recipe)


class Workspace(dg.ConfigurableResource):
    """A recipe and the folder that its tables, images, ledger and checkpoints are kept in."""

    recipe_file: str
    data: str
    """fsspec root; training sets, checkpoints, logs and the search index need it to be a local folder."""
    ledger_at: str = ""
    """fsspec root of the ledger, where it is not in `data`: runs on several machines can share one."""

    _tools: dict[str, Tool] = PrivateAttr(default_factory=dict)
    _began: int = PrivateAttr(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def began(self) -> int:
        """When this run began, in milliseconds since 1970."""
        return self._began

    @property
    def recipe(self) -> Recipe:
        return _read_recipe(self.recipe_file)

    @property
    def tables(self) -> TableStore:
        return TableStore(f"{self.data}/tables")

    @property
    def images(self) -> ImageStore:
        return ImageStore(f"{self.data}/images")

    @property
    def ledger(self) -> str:
        return self.ledger_at or f"{self.data}/ledger"

    def folder(self, name: str) -> Path:
        """A local folder of the workspace."""
        path = Path(self.data) / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def scratch(self) -> Path:
        """A local folder for what is on its way into a table: in the workspace, where that is local."""
        fs, path = fsspec.url_to_fs(f"{self.data}/scratch")
        folder = Path(path) if isinstance(fs, LocalFileSystem) else Path(tempfile.gettempdir()) / "touchstone"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def tool(self, name: str) -> Tool:
        """The tool of that name, built once a run."""
        if name not in self._tools:
            self._tools[name] = build_tool(name, ToolContext(self.recipe, self.images, self.data))
        return self._tools[name]


class Models(dg.ConfigurableResource):
    """The models behind the roles. A local server starts when the first call has to be made, and stops with the run."""

    workspace: dg.ResourceDependency[Workspace]
    one_server_at_a_time: bool = True
    """Stop a local server before another model's is started; without this they share the machine's memory."""

    _files: dict[str, ModelFiles] = PrivateAttr(default_factory=dict)
    _servers: dict[str, LocalServer] = PrivateAttr(default_factory=dict)
    _say: Callable[[str], None] | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._say = context.log.info if context.log else None

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all local servers, to give their memory to something else; they start again when called."""
        for server in self._servers.values():
            server.stop()

    def files(self, role: str) -> ModelFiles:
        """The local weights of a role. Raises dg.Failure for a role that is a URL."""
        model = self.workspace.recipe.models.role(role)
        if model.weights is None:
            raise dg.Failure(f"models.{role} is a URL: training and checkpoint evaluation need weights")
        key = model.weights.model_dump_json()
        if key not in self._files:
            self._files[key] = resolve_weights(model.weights, say=self._say)
        return self._files[key]

    def completer(self, role: str) -> Endpoint:
        """The client of a role's model."""
        model = self.workspace.recipe.models.role(role)
        if model.url is None:
            return self._client(getattr(self.workspace.recipe.models, role).same_as or role, self.files(role))
        key = os.environ.get(model.api_key_env) if model.api_key_env else None
        if model.api_key_env and not key:
            raise dg.Failure(f"models.{role}: the environment variable {model.api_key_env} is not set")
        fingerprint = remote_fingerprint(model.url, model.model, model.revision, key)
        return Endpoint(model.url, model.model, fingerprint, api_key=key, limits=_limits(model))

    def checkpoint(self, name: str, folder: Path) -> Endpoint:
        """The client of a checkpoint of the policy: a LoRA adapter, merged before it is served, or whole weights."""
        base, clock, say = self.files("policy"), Clock(), self._say or print
        if (folder / "adapter_config.json").exists():
            with Heartbeat(lambda: f"{name}: merging the adapter into the policy, {clock.seconds} s", say):
                return self._client(name, merged(base, folder, cache=self.workspace.folder("models")))
        return self._client(name, ModelFiles(folder, identity_of_directory(folder)))

    def server(self, name: str, files: ModelFiles) -> LocalServer:
        """The local server of these weights, which need not run; `name` is its role or checkpoint."""
        if files.identity not in self._servers:
            serve = self._settings(name).serve
            log = self.workspace.folder("logs") / f"{name}-server.log"
            self._servers[files.identity] = LocalServer(files, serve, log=log, name=name, say=self._say)
        return self._servers[files.identity]

    def _settings(self, name: str) -> Model:
        return self.workspace.recipe.models.role("teacher" if name == "teacher" else "policy")

    def _client(self, name: str, files: ModelFiles) -> Endpoint:
        server = self.server(name, files)

        def start() -> str:
            for other in self._servers.values():
                if other is not server and other.alive() and self.one_server_at_a_time:
                    other.stop()
            return server.start()

        return Endpoint(start, server.name, server.fingerprint(), vllm=True, limits=_limits(self._settings(name)))


def _limits(model: Model) -> EndpointLimits:
    return EndpointLimits(model.concurrency, model.timeout_s, model.max_retries)


class TableIOManager(dg.ConfigurableIOManager):
    """Assets hand each other tables through the workspace's table store."""

    workspace: dg.ResourceDependency[Workspace]

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
