"""The python tool as TRL's `environment_factory`: one sandbox session for each rollout (docs/rl-tools.md).

TRL makes as many environments as it generates rollouts at once, keeps them, and calls `reset` with a row's columns
before each rollout. It never says that it is done with one, calls tools one after the other, and turns every
Exception of a tool into an observation (trl/trainer/grpo_trainer.py, 1.16.0).
"""

import atexit
import functools
import inspect
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Self

from records.images.store import ImageStore
from records.recipe import SandboxSettings as Settings
from records.recipe.section import RecipeError
from rollouts.tools.python import PARAMETERS, describe
from sandbox import build_sandbox
from sandbox.contract import Sandbox
from training.environments import blocking
from training.environments.episode import Episode, SandboxFault, row_images, row_seed, shown

log = logging.getLogger(__name__)

CUT_OFF = "The tool failed. This attempt does not count."
"""What a policy reads in a rollout that gets no reward; it is not learnt from."""


class PythonEnvironment:
    """One rollout's session. Made by PythonEnvironments, whose subclass of it offers the method `python`."""

    def __init__(self, owner: "PythonEnvironments") -> None:
        self._owner = owner
        self._episode: list[Episode] = []
        """This one, if there is one: a list, because the finalizer needs it and must not hold the environment."""
        weakref.finalize(self, _let_go, self._episode).atexit = False
        self.fault = ""
        """What cut the rollout off; empty if nothing did."""

    def reset(self, /, **row: Any) -> None:
        """Begin a rollout on a row: the session before is closed, the next is opened by its first call.

        Raises:
            ValueError: the row's images or its seed cannot be used.
            FileNotFoundError: an image is not where the row says.
        """
        while self._episode:
            try:
                blocking.run(self._episode.pop().close())
            except Exception as error:  # of no consequence to the next
                log.warning("a session could not be closed: %s", error)
        self.fault = ""
        owner = self._owner
        images, seed = row_images(row, owner._store), row_seed(row)
        self._episode.append(Episode(owner.sandbox(), owner.settings, images, seed))

    def _call(self, arguments: dict[str, Any]) -> str | list[dict[str, Any]]:
        if self.fault:
            return CUT_OFF
        if not self._episode:
            raise SandboxFault("python: the environment was called before its first reset")
        try:
            result, images = blocking.run(self._episode[0].call(arguments))
        except Exception as error:
            fault = SandboxFault.of(error)
            self.fault = str(fault)
            self._owner.faults += 1
            if not (fault.passing and self._owner._leaves_faults_out):
                raise fault from error
            log.warning("%s", fault)
            return CUT_OFF
        if not (images and self._owner.sees_images):
            return result.text
        blocks = [{"type": "image", "image": shown(png)} for png in images]
        return [*blocks, {"type": "text", "text": result.text}]


def _let_go(episodes: list[Episode]) -> None:
    """Close without waiting: a finalizer runs in any thread, the background loop's included."""
    for episode in episodes:
        blocking.submit(episode.close())


def _python(description: str) -> Callable[..., Any]:
    """The method that TRL offers as the tool. Its docstring and signature are what the chat template is given; it takes
    any arguments all the same, because the tool has its own words for wrong ones."""

    def python(self: PythonEnvironment, /, *code: Any, **arguments: Any) -> str | list[dict[str, Any]]:
        if code:
            (arguments["code"],) = code
        return self._call(arguments)

    python.__doc__ = f"{description}\n\nArgs:\n    code: {PARAMETERS['properties']['code']['description']}\n"
    python.__annotations__ = {"code": str}
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    code = inspect.Parameter("code", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)
    python.__signature__ = inspect.Signature([own, code])  # type: ignore[attr-defined]
    return python


class PythonEnvironments:
    """The factory: `GRPOTrainer(environment_factory=environments, reward_funcs=[environments.reward(f)], ...)`.

    It can be pickled; the copy opens a sandbox of its own. Close it, or use it as a context, when training is over.

    Args:
        settings: the recipe's `sandbox`; `sessions` must be at least the number of rollouts generated at once by one
            process (per_device_train_batch_size * steps_per_generation), as each keeps its session until the next.
        sees_images: whether the policy is a vision model: result images come back as content blocks; otherwise it
            reads their sizes alone.
        images_root: an image store; rows with a `question` column get that question's images from it.
    """

    def __init__(self, settings: Settings, *, sees_images: bool = False, images_root: str | None = None) -> None:
        self.settings, self.sees_images, self.images_root = settings, sees_images, images_root
        self.faults = 0
        """Rollouts that were cut off by faults of ours so far."""
        self._leaves_faults_out = False
        self._store = None if images_root is None else ImageStore(images_root)
        self._made: weakref.WeakSet[PythonEnvironment] = weakref.WeakSet()
        self._opened: Sandbox | None = None
        self._at_exit: Callable[[], None]
        self._type = type("PythonEnvironment", (PythonEnvironment,), {"python": _python(describe(settings))})

    def sandbox(self) -> Sandbox:
        """The sandbox of all environments; a first session proves that it can be had. Raises as `__call__` does."""
        if self._opened is None:
            sandbox = build_sandbox(self.settings)
            blocking.run(_prove(sandbox))
            self._opened = sandbox
            self._at_exit = blocking.at_exit(sandbox.close)
        return self._opened

    def __call__(self) -> PythonEnvironment:
        """Another environment.

        Raises:
            RecipeError: there are as many as the settings allow sessions: the next would wait for ever.
            SandboxUnavailable: code cannot be isolated here.
            ToolInfrastructureError: no session could be started.
        """
        if len(self._made) >= self.settings.sessions:
            raise RecipeError(
                f"sandbox.sessions: {self.settings.sessions} sessions are too few for the rollouts that are generated "
                "at once; each keeps its own until the next batch. Allow as many as per_device_train_batch_size * "
                "steps_per_generation (and as many as an evaluation batch holds)"
            )
        self.sandbox()  # what is wrong with it should show before the first rollout
        made = self._type(self)
        self._made.add(made)
        return made

    def reward(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` as a reward function that gives no reward to rollouts cut off by faults of ours.

        TRL leaves a rollout to which no function gives a reward out of its group's mean, without an advantage: wrap
        every reward function. Once one is wrapped, faults that another try may not meet no longer stop the training.
        """
        self._leaves_faults_out = True

        def without_faults(
            rewards: Sequence[float | None], environments: Sequence[PythonEnvironment], columns: dict[str, Any]
        ) -> list[float | None]:
            if log_metric := columns.get("log_metric"):
                log_metric("sandbox_faults", float(sum(bool(one.fault) for one in environments)))
            return [None if one.fault else given for one, given in zip(environments, rewards, strict=True)]

        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__):

            @functools.wraps(function)
            async def scored(*, environments: Sequence[PythonEnvironment], **columns: Any) -> list[float | None]:
                rewards = await function(environments=environments, **columns)
                return without_faults(rewards, environments, columns)

            return scored

        @functools.wraps(function)
        def scored_at_once(*, environments: Sequence[PythonEnvironment], **columns: Any) -> list[float | None]:
            rewards = function(environments=environments, **columns)
            return without_faults(rewards, environments, columns)

        return scored_at_once

    def close(self) -> None:
        """Close the sandbox with all sessions. Closing twice is fine."""
        sandbox, self._opened = self._opened, None
        if sandbox is not None:
            atexit.unregister(self._at_exit)
            blocking.run(sandbox.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "sees_images": self.sees_images, "images_root": self.images_root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


async def _prove(sandbox: Sandbox) -> None:
    async with await sandbox.open():
        pass
