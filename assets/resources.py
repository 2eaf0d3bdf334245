"""What assets ask Dagster for: the workspace (recipe, tables, images), and the models behind their roles."""

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import PrivateAttr

from records.images import ImageStore
from records.recipe import Recipe, read_recipe
from records.tables import TableStore
from rollouts.endpoint import Endpoint, remote_fingerprint
from rollouts.server import LocalServer
from rollouts.tools import Tool, ToolContext, build_tool
from rollouts.weights import ModelFiles, resolve_weights

_read_recipe = lru_cache(maxsize=8)(read_recipe)


class Workspace(dg.ConfigurableResource):
    """A recipe and the folder that its tables, images, ledger and checkpoints are kept in."""

    recipe_file: str
    data: str
    """fsspec root; training sets, checkpoints, logs and the search index need it to be a local folder."""

    _tools: dict[str, Tool] = PrivateAttr(default_factory=dict)

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
        return f"{self.data}/ledger"

    def folder(self, name: str) -> Path:
        """A local folder of the workspace."""
        path = Path(self.data) / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def tool(self, name: str) -> Tool:
        """The tool of that name, built once a run."""
        if name not in self._tools:
            self._tools[name] = build_tool(name, ToolContext(self.recipe, self.images, self.data))
        return self._tools[name]


class Models(dg.ConfigurableResource):
    """The models behind the roles. A local server starts when the first call has to be made, and stops with the run."""

    workspace: dg.ResourceDependency[Workspace]

    _servers: dict[str, LocalServer] = PrivateAttr(default_factory=dict)
    _say: object = PrivateAttr(default=None)

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
        return resolve_weights(model.weights, say=self._say)

    def completer(self, role: str) -> Endpoint:
        """The client of a role's model."""
        model = self.workspace.recipe.models.role(role)
        limits = {"concurrency": model.concurrency, "timeout_s": model.timeout_s, "max_retries": model.max_retries}
        if model.url is not None:
            key = os.environ.get(model.api_key_env) if model.api_key_env else None
            if model.api_key_env and not key:
                raise dg.Failure(f"models.{role}: the environment variable {model.api_key_env} is not set")
            fingerprint = remote_fingerprint(model.url, model.model, model.revision, key)
            return Endpoint(model.url, model.model, fingerprint, api_key=key, **limits)
        server = self._server(role)
        return Endpoint(server.start, server.name, server.fingerprint(), vllm=True, **limits)

    def checkpoints(self, adapters: Mapping[str, Path]) -> dict[str, Endpoint]:
        """Clients of the policy (`base`) and of LoRA adapters of it, all behind one local server."""
        model = self.workspace.recipe.models.role("policy")
        server = self._server("policy", adapters)
        limits = {"concurrency": model.concurrency, "timeout_s": model.timeout_s, "max_retries": model.max_retries}
        clients = {"base": Endpoint(server.start, server.name, server.fingerprint(), vllm=True, **limits)}
        for name in adapters:
            clients[name] = Endpoint(server.start, name, server.fingerprint(name), vllm=True, **limits)
        return clients

    def _server(self, role: str, adapters: Mapping[str, Path] | None = None) -> LocalServer:
        models = self.workspace.recipe.models
        shared = getattr(models, role).same_as or role
        key = shared if not adapters else f"{shared} with {', '.join(f'{k}={v}' for k, v in adapters.items())}"
        if key not in self._servers:
            model = models.role(role)
            self._servers[key] = LocalServer(
                self.files(role),
                model.serve,
                log=self.workspace.folder("logs") / f"{shared}-server.log",
                name=shared,
                lora=adapters,
                say=self._say,
            )
        return self._servers[key]


class TableIOManager(dg.ConfigurableIOManager):
    """Assets hand each other tables through the workspace's table store."""

    workspace: dg.ResourceDependency[Workspace]

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        name = context.asset_key.path[-1]
        path = self.workspace.tables.write(name, obj)
        content = hashlib.sha256(str(obj.hash_rows().sum()).encode() + str(obj.height).encode()).hexdigest()[:12]
        context.add_output_metadata(
            {
                "dagster/row_count": obj.height,
                "dagster/column_schema": dg.TableSchema(
                    [dg.TableColumn(column, str(kind)) for column, kind in obj.schema.items()]
                ),
                "table": dg.MetadataValue.path(path),
                "content": content,
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        return self.workspace.tables.read(context.asset_key.path[-1])
