"""A question with a checkable answer, a document of a corpus, and a row that was rejected."""

from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from records.identity import content_hash

Task = Literal["perception", "math", "search"]
AnswerType = Literal["number", "choice", "short_text", "boolean", "expression", "set"]
AnswerRule = Literal["", "chartqa", "math", "squad", "vqa"]
"""The benchmark whose metric compares the answers (verdicts/metrics.py); "": the rules of verdicts/rules.py."""
TASKS: tuple[Task, ...] = get_args(Task)


class Question(BaseModel):
    """One question. `question_id` is the hash of task, text, image hashes, choices and answer: nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    source_row: str
    """The place of the row in its source. It is only for people and not part of the identity."""
    task: Task
    text: str
    images: list[str] = Field(default_factory=list)
    """Hashes into the image store."""
    choices: list[str] = Field(default_factory=list)
    answer: str
    answer_type: AnswerType
    aliases: list[str] = Field(default_factory=list)
    """Other texts that count as the answer."""
    answer_rule: AnswerRule = ""
    licence: str = "unknown"
    extra: str = "{}"
    """Whatever else the source says about the question, as JSON text. It is not part of the identity."""
    question_id: str = ""

    def model_post_init(self, _context: object) -> None:
        identity = content_hash([self.task, self.text, self.images, self.choices, self.answer])
        object.__setattr__(self, "question_id", identity)


class Reject(BaseModel):
    """A row that a stage rejected. `reason` is a code to count by, `detail` a sentence to read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row_id: str
    stage: str
    reason: str
    detail: str = ""
    task: str = ""
    source: str = ""


class Document(BaseModel):
    """One text of a corpus that a search tool searches."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ALWAYS_HASHED: ClassVar = ("document_id", "title", "text", "source")

    document_id: str
    title: str
    text: str
    source: str = ""
