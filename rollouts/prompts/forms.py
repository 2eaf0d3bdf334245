"""The forms of a prompt: what one arm offers, runs and shows, and another does not.

direct       the example is worked out in words
tools        it is worked out with the tool
call_only    as tools, but results are withheld, and what would be concluded from them is left out
result_only  what the tool returned is below the question, and leads to the answer; no tool is offered
oracle       as result_only; the question itself comes with what its source annotates it with
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Form:
    """The properties of a form; code asks for these and never for its name."""

    name: str
    """The name of the form, which is also that of its arm."""
    offers_calls: bool
    """Whether the model may call tools."""
    executes_calls: bool
    """Whether calls are run and their results shown."""
    prefilled: Literal["tool_results", "evidence"] | None
    """What is shown below the question: the results of an attempt with tools, the evidence that the source annotates,
    or nothing."""
    in_examples: Literal["words", "calls_and_results", "calls", "results"]
    """What the worked examples show of the way to their answers."""

    @property
    def shows_tools(self) -> bool:
        """Whether the calls or the results of tools are shown in the worked examples."""
        return self.in_examples != "words"


DIRECT = Form("direct", False, False, None, "words")
TOOLS = Form("tools", True, True, None, "calls_and_results")
CALL_ONLY = Form("call_only", True, False, None, "calls")
RESULT_ONLY = Form("result_only", False, False, "tool_results", "results")
ORACLE = Form("oracle", False, False, "evidence", "results")
FORMS: dict[str, Form] = {form.name: form for form in (DIRECT, TOOLS, CALL_ONLY, RESULT_ONLY, ORACLE)}
"""All forms, by name."""
