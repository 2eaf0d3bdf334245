"""The python tool as verl's BaseTool: `training.environments.verl.PythonTool` in a tool_config_path file.

verl's tool agent loop calls create, execute and release around every single call, and hands `execute` the trajectory's
AgentData (verl/experimental/agent_loop/tool_agent_loop.py, 0.9.1). State has to last for the trajectory, so the session
belongs to the AgentData and is closed when the loop lets go of it. Callers that give no AgentData get the life cycle of
verl's documentation: one session from create to release.

Run in verl's environment; `python -m training.environments RECIPE` writes the file (docs/rl-tools.md).
"""

import asyncio
import threading
import weakref
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from records.images.store import ImageStore
from records.recipe import SandboxSettings as Settings
from records.recipe.section import check_settings
from sandbox import build_sandbox
from sandbox.contract import Sandbox
from training.environments import blocking
from training.environments.episode import Episode, SandboxFault, row_images, row_seed, shown
from training.environments.schema import tool_schema


class ToolConfig(BaseModel):
    """The `config` of a tool in verl's file."""

    model_config = ConfigDict(extra="forbid")

    type: str
    """verl's own key: `native`."""
    sandbox: Settings = Settings()
    sees_images: bool = False
    """Whether the policy is a vision model: verl stops when a text model's tool returns images."""
    images_root: str | None = None
    """An image store, for rows whose create_kwargs hold a `question`. A session's seed is the `seed` there, or that
    of the question."""


class PythonTool(BaseTool):
    """Runs Python in a sandbox session that lasts for a trajectory.

    Nothing is started before the first call: verl makes tools also where it only wants to know their schema.

    Args:
        config: see ToolConfig.
        tool_schema: what the policy is told; made from the settings when there is none.

    Raises:
        RecipeError: the config holds something else.
    """

    def __init__(self, config: dict[str, Any], tool_schema: OpenAIFunctionToolSchema | None = None) -> None:
        self._own = check_settings(ToolConfig, config, "tool_config_path", "config")
        self._store = None if self._own.images_root is None else ImageStore(self._own.images_root)
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, Any]] = {}
        self._of_instance: dict[str, Episode] = {}
        self._of_trajectory: weakref.WeakKeyDictionary[Any, Episode] = weakref.WeakKeyDictionary()
        super().__init__(config, tool_schema)

    def get_openai_tool_schema(self) -> OpenAIFunctionToolSchema:
        return OpenAIFunctionToolSchema.model_validate(tool_schema(self._own.sandbox))

    @property
    def longest_text(self) -> int:
        """Characters that a result can have: multi_turn.max_tool_response_length must not be less."""
        return 4 * self._own.sandbox.output_chars + 2000

    async def create(self, instance_id: str | None = None, **kwargs: Any) -> tuple[str, ToolResponse]:
        """Note the row of an instance: `create_kwargs`, as row_images reads them; images can be in the prompt too."""
        instance_id = instance_id or str(uuid4())
        self._rows[instance_id] = kwargs.get("create_kwargs") or {}
        return instance_id, ToolResponse()

    async def execute(
        self, instance_id: str, parameters: dict[str, Any], **kwargs: Any
    ) -> tuple[ToolResponse, float, dict[str, Any]]:
        """Run a call. The step's reward is 0: calling a tool earns nothing.

        Raises:
            SandboxFault: a fault of ours, which verl's loop does not catch (PythonAgentLoop does).
        """
        try:
            episode = self._episode(instance_id, kwargs.get("agent_data"))
            result, images = await asyncio.wrap_future(blocking.submit(episode.call(parameters)))
            seen = images if self._own.sees_images else []
            pictures = await asyncio.to_thread(lambda: [shown(png) for png in seen])
        except Exception as error:
            raise SandboxFault.of(error) from error
        metrics = {"outcome": result.outcome, "seconds": result.seconds}
        if not pictures:
            return ToolResponse(text=result.text), 0.0, metrics
        return ToolResponse(text=result.text, image=pictures), 0.0, metrics

    async def release(self, instance_id: str, **kwargs: Any) -> None:
        """Forget an instance; a session of its own is closed, a trajectory's goes on."""
        self._rows.pop(instance_id, None)
        episode = self._of_instance.pop(instance_id, None)
        if episode is not None:
            await asyncio.wrap_future(blocking.submit(episode.close()))

    def _episode(self, instance_id: str, trajectory: Any) -> Episode:
        owners: Any = self._of_instance if trajectory is None else self._of_trajectory
        key = instance_id if trajectory is None else trajectory
        episode = owners.get(key)
        if episode is None:
            row = self._rows.get(instance_id, {})
            if trajectory is not None:
                row = row | {"prompt": list(trajectory.messages)}
            images, seed = row_images(row, self._store), row_seed(row)
            episode = owners[key] = Episode(self._opened(), self._own.sandbox, images, seed)
            if trajectory is not None:
                weakref.finalize(trajectory, _let_go, episode).atexit = False
        return episode

    def _opened(self) -> Sandbox:
        with self._lock:
            if self._sandbox is None:
                self._sandbox = build_sandbox(self._own.sandbox)
                blocking.at_exit(self._sandbox.close)
            return self._sandbox


def _let_go(episode: Episode) -> None:
    blocking.submit(episode.close())
