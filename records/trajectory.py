"""A conversation in neutral form, and the record of one rollout of a model on a question.

Dialects turn messages into requests and read completions as messages; formats turn messages into what a trainer reads.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["system", "user", "assistant", "tool"]
Outcome = Literal["ok", "raised", "timed_out", "out_of_memory", "killed", "invalid_call", "infrastructure"]
StopReason = Literal[
    "answered", "no_answer", "max_turns", "max_tokens", "context_length", "refused", "malformed_reply",
    "lost_content", "unfinished",
]  # fmt: skip
"""`no_answer`: a turn names no action in its dialect, after the reminders too. `lost_content`: the model named one, and
the server gave it where the dialect does not read it."""
UNREADABLE: tuple[StopReason, ...] = ("no_answer", "malformed_reply", "lost_content")
"""Stop reasons of attempts that could not be read; the first is the model's doing, and a failed attempt."""


class Block(BaseModel):
    """A piece of content: a text, or an image by its hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ALWAYS_HASHED: ClassVar = ("type", "text", "image")

    type: Literal["text", "image"]
    text: str = ""
    image: str = ""


class ToolCall(BaseModel):
    """A call as the model wrote it; `arguments` is JSON text and code in it is byte for byte what runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ALWAYS_HASHED: ClassVar = ("name", "arguments")

    name: str
    arguments: str


class ToolResult(BaseModel):
    """The result of a call. `outcome` is about the call alone: `infrastructure` is never the model's fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ALWAYS_HASHED: ClassVar = ("outcome", "text", "images", "seconds")

    outcome: Outcome
    text: str = ""
    images: list[str] = Field(default_factory=list)
    """Hashes into the image store."""
    seconds: float = 0.0

    def reads_like(self, other: "ToolResult") -> bool:
        """Whether a model reads the same of both; the time that they took is not shown."""
        return (self.outcome, self.text, self.images) == (other.outcome, other.text, other.images)


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ALWAYS_HASHED: ClassVar = ("role", "content", "reasoning", "tool_calls", "answer", "raw", "name")

    role: Role
    content: list[Block] = Field(default_factory=list)
    reasoning: str = ""
    tool_calls: list[ToolCall] = Field(default_factory=list)
    answer: str | None = None
    """The final answer, when this assistant turn gives one."""
    raw: str | None = None
    """The assistant's own text, exactly. Its dialect shows it this text again, so that history is never rewritten."""
    name: str = ""
    """The tool that answered, for role `tool`."""
    reasoning_apart: str = ""
    """The part of `reasoning` that the server gave apart from the text: `raw` does not hold it."""

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.content if block.type == "text")

    @property
    def images(self) -> list[str]:
        return [block.image for block in self.content if block.type == "image"]


def text_message(role: Role, text: str, **more: Any) -> Message:
    return Message(role=role, content=[Block(type="text", text=text)], **more)


def tool_message(name: str, result: ToolResult) -> Message:
    """The turn that shows what a tool returned."""
    images = [Block(type="image", image=image) for image in result.images]
    return Message(role="tool", name=name, content=[*images, Block(type="text", text=result.text)])


class ExecutedCall(BaseModel):
    """A tool call with its result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    call: ToolCall
    result: ToolResult


class Rollout(BaseModel):
    """One attempt of one model at one question in one arm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rollout_id: str
    question_id: str
    arm: str
    model_fingerprint: str
    prompt_fingerprint: str
    """Fingerprint of the prompt as it was shown."""
    setting: str = ""
    """Fingerprint of what all attempts of one arm at questions of one task share: the model, the way prompts are made,
    sampling, tools. Attempts at one question in one setting differ in the sample index alone."""
    prompt_template: str = ""
    """Fingerprint of the way prompts are made: dialect, instructions, worked examples, whether images are shown."""
    sampling: str
    """JSON text."""
    tool_versions: str
    """JSON text."""
    sample_index: int
    prompt: list[Message]
    """System, worked examples and the question."""
    messages: list[Message]
    """The turns after the prompt."""
    answer: str | None
    tool_calls: list[ExecutedCall]
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Seconds of model and tool time, as first measured (a call read from the ledger keeps its first time)."""
    stop_reason: StopReason
    error_class: str = ""
    """What the server or the tool said, for a rollout that is not an attempt: `unfinished`, `refused`, `context_length`
    (which begins with how long the server's context was), `malformed_reply` or `lost_content`."""
    correct: bool | None = None
    """The verdict; None until judged, and always None for a rollout that is not an attempt."""
    verdict: str = ""
    """How the verdict was reached."""
    judged_with: str = ""
    """Fingerprint of the verifier and of what it compared with, apart from the question's own identity."""
    seed: int | None = None
    """The seed that the tools' sessions were opened with; None if with none, as before there were seeds."""
    redraws: int = 0
    """How often the attempt was begun anew because a call could not be made again with an equal result."""


class Trajectory(BaseModel):
    """A rollout that passed every check, with the record of the checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trajectory_id: str
    question_id: str
    rollout_id: str
    prompt: list[Message]
    messages: list[Message]
    answer: str
    images: list[str]
    checks: str
    """JSON text: check name -> what it found."""
    seed: int | None = None
    """The seed that the tools' sessions were opened with."""
