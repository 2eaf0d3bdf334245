"""The forms of an attempt: what its prompt shows, whether tools may be called, and what a call does."""

from dataclasses import dataclass
from typing import Literal

Prefill = Literal["tool_results", "evidence"]


@dataclass(frozen=True)
class Form:
    """The properties of a form."""

    name: str
    offers_calls: bool = False
    """Whether tools may be called."""
    executes_calls: bool = False
    """Whether a call is run; otherwise its results are withheld."""
    prefilled: Prefill | None = None
    """What the question's own turn shows without a call: the results that the attempts with tools obtained, or the
    evidence that the source annotates."""
    in_examples: bool = False
    """Whether worked examples show what tools return."""


FORMS = {
    form.name: form
    for form in (
        Form("direct"),
        Form("tools", offers_calls=True, executes_calls=True, in_examples=True),
        Form("call_only", offers_calls=True, in_examples=True),
        Form("result_only", prefilled="tool_results", in_examples=True),
        Form("oracle", prefilled="evidence", in_examples=True),
    )
}
