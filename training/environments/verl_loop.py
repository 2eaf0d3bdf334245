"""verl's tool agent loop, for tools that can fail without the policy's doing.

Name it in the file of `agent.agent_loop_config_path` to have it in place of verl's own `tool_agent`:

    - name: tool_agent
      _target_: training.environments.verl_loop.PythonAgentLoop
"""

import logging
from itertools import groupby
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop

from records.recipe.section import RecipeError
from training.environments.episode import SandboxFault
from training.environments.verl import PythonTool

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Trajectories tried for a prompt when faults of ours cut them off."""


class PythonAgentLoop(ToolAgentLoop):
    """A trajectory that a fault of ours cut off is made anew, from its prompt: verl scores every trajectory it gets,
    and has no way to leave one out of its group. The extra field `model_turns` holds the policy's own turns, for
    training.reward.compute_score: an observation that looks like an answer is none.

    Raises:
        RecipeError: verl would cut the tool's results, of which the curated data had all.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for tool in self.tools.values():
            if isinstance(tool, PythonTool) and self.max_tool_response_length < tool.longest_text:
                raise RecipeError(
                    f"multi_turn.max_tool_response_length is {self.max_tool_response_length}, and the tool python "
                    f"returns up to {tool.longest_text} characters: allow as many, or lower sandbox.output_chars"
                )

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """One trajectory.

        Raises:
            RuntimeError: faults of ours cut off ATTEMPTS trajectories, or one that trying again does not mend.
        """
        given = kwargs | {"tools_kwargs": _with_question(kwargs)}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                output = await super().run(sampling_params, **given)
            except SandboxFault as fault:
                log.warning("trajectory %d of %d was cut off: %s", attempt, ATTEMPTS, fault)
                if attempt == ATTEMPTS or not fault.passing:
                    raise RuntimeError(str(fault)) from None
            else:
                output.extra_fields["model_turns"] = self._turns(output)
                return output
        raise AssertionError("the loop returns or raises")

    def _turns(self, output: AgentLoopOutput) -> list[str]:
        sampled = zip(output.response_mask, output.response_ids, strict=True)
        runs = groupby(sampled, key=lambda pair: pair[0])
        return [self.tokenizer.decode([token for _, token in run]) for own, run in runs if own]


def _with_question(row: dict[str, Any]) -> dict[str, Any]:
    """The tools_kwargs of a row, with its question and its seed for the tool that has none of its own."""
    tools_kwargs, extra = dict(row.get("tools_kwargs") or {}), row.get("extra_info") or {}
    given = {name: extra[name] for name in ("question", "seed") if extra.get(name)}
    if given and not tools_kwargs.get("python"):
        tools_kwargs["python"] = {"create_kwargs": given}
    return tools_kwargs
