"""The tools of a workspace's recipe, each built once."""

from records.question import Task
from records.workspace import Workspace
from rollouts.tools import Tool, ToolContext, build_tool


class Toolbox:
    """Builds a tool when it is first asked for, which may start a sandbox or read an index, and keeps it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._tools: dict[str, Tool] = {}

    def tool(self, name: str) -> Tool:
        """The tool of that name. Raises what its `build` raises."""
        if name not in self._tools:
            workspace = self.workspace
            self._tools[name] = build_tool(name, ToolContext(workspace.recipe, workspace.images, workspace.data))
        return self._tools[name]

    def put(self, tool: Tool) -> None:
        """Use this tool under its name, in place of one that would be built."""
        self._tools[tool.name] = tool

    def of_task(self, task: Task) -> dict[str, Tool]:
        """The tools that the recipe offers for a task, by name."""
        return {name: self.tool(name) for name in self.workspace.recipe.tools.get(task, ())}
