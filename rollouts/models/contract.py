"""The model endpoint: one client for every OpenAI-compatible server."""

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Request:
    """One chat completion to ask for; everything in it but `id` determines the reply's distribution."""

    messages: list[dict[str, Any]]
    """OpenAI chat messages; images as image_url blocks holding data URIs."""
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of the request body, such as tools or skip_special_tokens."""
    id: str = field(default="", compare=False)
    """The ledger key of the call, by which the server's log can be matched with the ledger; printable ASCII."""


@dataclass(frozen=True)
class Completion:
    """A reply as the endpoint gave it."""

    text: str
    finish_reason: str
    """One of rollouts.models.finish_reasons.FinishReason, whatever the server calls it."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    tool_calls: list[dict[str, str]] = field(default_factory=list)
    """Native function calls: name and arguments (JSON text)."""
    reasoning: str = ""
    """The model's reasoning, where the server gives it apart from the text."""
    stopped_by: str | None = None
    """The stop string that ended the text; "" where the server says that none did, None where it says nothing."""
    in_thought: bool = False
    """Whether the text is known to begin within a thought, which the chat template opened."""


class ModelUnavailable(RuntimeError):
    """The endpoint kept failing through all retries. Says nothing about the question: never a wrong answer."""


class ModelOutage(ModelUnavailable):
    """Nothing goes through: the endpoint is at fault and not this request, so asking it for more is useless.

    Raised `from` the error that showed it. `kind`: connection, timeout, rate_limit, too_large, server_error, aborted,
    malformed, server_lost, max_tokens, finish_reason or refused; `status`: the HTTP status of a refusal, otherwise 0.
    """

    def __init__(self, message: str, kind: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


class ContextLengthExceeded(RuntimeError):
    """The endpoint refused the prompt as too long: a recorded outcome of its own.

    `limit`: the tokens that it allows, where it names them.
    """

    def __init__(self, message: str, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class QuestionRefused(RuntimeError):
    """The endpoint refused what was asked by its rules of content, while others are answered: a recorded outcome."""


class Completer(Protocol):
    """Whatever turns a request into a completion: a served model, or the model inside an RL step."""

    fingerprint: str

    async def complete(self, request: Request) -> Completion:
        """Raises ModelUnavailable (ModelOutage when no call can succeed), ContextLengthExceeded or QuestionRefused."""
        ...
