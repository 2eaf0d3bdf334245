"""The models behind the roles of a recipe, and the local servers that they need."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from records.heartbeat import Clock, Heartbeat
from records.recipe import Model
from records.workspace import Workspace
from rollouts.models.addresses import AddressError
from rollouts.models.connections import EndpointLimits, ServerTraits
from rollouts.models.contract import ModelUnavailable
from rollouts.models.endpoint import Endpoint
from rollouts.models.local_server import LocalServer
from rollouts.models.merge_lora import merged
from rollouts.models.served_models import remote_fingerprint
from rollouts.models.weights import ModelFiles, identity_of_directory, resolve_weights


class RoleError(RuntimeError):
    """A role cannot do what is asked of it, as the recipe and the environment set it up."""


class Models:
    """The models behind the roles. A local server starts when the first call has to be made.

    Args:
        say: where progress lines go.
        one_server_at_a_time: whether a local server stops before another model's starts; without this they share the
            machine's memory.
    """

    def __init__(
        self, workspace: Workspace, say: Callable[[str], None] | None = None, one_server_at_a_time: bool = True
    ) -> None:
        self.workspace, self.one_server_at_a_time = workspace, one_server_at_a_time
        self._say = say
        self._files: dict[str, ModelFiles] = {}
        self._servers: dict[str, LocalServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all local servers, to give their memory to something else; they start again when called."""
        for server in self._servers.values():
            server.stop()

    def files(self, role: str) -> ModelFiles:
        """The local weights of a role. Raises RoleError for a role that is a URL."""
        model = self.workspace.recipe.models.role(role)
        if model.weights is None:
            raise RoleError(f"models.{role} is a URL: training and checkpoint evaluation need weights")
        key = model.weights.model_dump_json()
        if key not in self._files:
            self._files[key] = resolve_weights(model.weights, say=self._say)
        return self._files[key]

    def completer(self, role: str) -> Endpoint:
        """The client of a role's model."""
        model = self.workspace.recipe.models.role(role)
        if model.url is None:
            return self._client(self.workspace.recipe.models.owner(role), self.files(role))
        key = os.environ.get(model.api_key_env) if model.api_key_env else None
        if model.api_key_env and not key:
            raise RoleError(f"models.{role}: the environment variable {model.api_key_env} is not set")
        assert model.model is not None  # a url needs it
        traits = ServerTraits(finish_reasons=model.finish_reasons)
        try:
            fingerprint = remote_fingerprint(model.url, model.model, model.revision, key)
            return Endpoint(model.url, model.model, fingerprint, key, _limits(model), traits)
        except AddressError as error:
            where = f" (the key is in {model.api_key_env})" if key else ""
            raise RoleError(f"models.{role}: {error}{where}") from None
        except ModelUnavailable as error:
            raise RoleError(f"models.{role}: {error}") from None

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
        roles = self.workspace.recipe.models
        return roles.role(name if name in roles.by_role() else "policy")

    def _client(self, name: str, files: ModelFiles) -> Endpoint:
        server = self.server(name, files)

        def start() -> str:
            for other in self._servers.values():
                if other is not server and other.alive() and self.one_server_at_a_time:
                    other.stop()
            return server.start()

        settings = self._settings(name)
        traits = ServerTraits(vllm=True, context=settings.serve.max_model_len, finish_reasons=settings.finish_reasons)
        return Endpoint(start, server.name, server.fingerprint(), limits=_limits(settings), traits=traits)


def _limits(model: Model) -> EndpointLimits:
    return EndpointLimits(model.concurrency, model.timeout_s, model.max_retries, model.patience_s)
