"""Verifiable math problems from reasoning-gym, generated from the seed. Math; Apache-2.0; needs no hub.

Source: the package `reasoning-gym` (https://github.com/open-thought/reasoning-gym). The tasks listed in TASKS are
those whose scorer and our verdict (verdicts/rules.py) agree on what is right; left out are tasks that ask for one
form among equal ones (fraction_simplification, dice), for lists, or whose scorer gives part marks only.
"""

import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from records.question import AnswerType, Reject
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.contract import Draft, Opened
from sources.draw import allocate, reject, require, version

LICENCE = "Apache-2.0"

TASKS: dict[str, AnswerType | None] = {
    "chain_sum": "number",
    "decimal_chain_sum": "number",
    "products": "number",
    "basic_arithmetic": "number",
    "decimal_arithmetic": "number",
    "gcd": "number",
    "lcm": "number",
    "count_bits": "number",
    "count_primes": "number",
    "letter_counting": "number",
    "leg_counting": "number",
    "largest_island": "number",
    "simple_equations": "number",
    "simple_geometry": "number",
    "gsm_symbolic": "number",
    "prime_factorization": "set",
    "complex_arithmetic": "expression",
    "polynomial_multiplication": "expression",
    "spell_backward": "short_text",
    "calendar_arithmetic": None,
}
"""Tasks whose answers our verdict checks, and their answer type; None where it differs from problem to problem."""


class TaskOptions(BaseModel):
    """One task of reasoning-gym."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=1)] = 8
    """The number of problems that are generated; a larger count keeps the problems of a smaller one."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The task's own settings, such as {max_terms: 3}."""
    answer_type: AnswerType | None = None
    """Needed for a task that is not in TASKS."""


class Options(BaseModel):
    """The settings of the loader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: Annotated[dict[str, TaskOptions], Field(min_length=1)]
    """The tasks that problems are generated for, by name."""


def check(options: Options, use: str) -> None:
    for name, task in options.tasks.items():
        if name not in TASKS and task.answer_type is None:
            raise ValueError(f"tasks.{name}: give its answer_type, or take one of: {', '.join(TASKS)}")
        for key in ("seed", "size"):
            if key in task.config:
                raise ValueError(f"tasks.{name}.config.{key}: the recipe's seed and count decide this")


def task_seed(seed: int, task: str) -> int:
    """The seed of one task. reasoning-gym makes problem i from seed + i: seeds that lie close would repeat problems."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{task}".encode()).digest()[:4], "big") >> 2


def infer_answer_type(answer: str) -> AnswerType:
    """The type of an answer of a task whose answers differ in type."""
    if answer.lower() in ("yes", "no", "true", "false"):
        return "boolean"
    return "number" if re.fullmatch(r"-?\d+(\.\d+)?", answer) else "short_text"


class _NotInstalled(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks any module for
            raise AttributeError(name)
        raise RecipeError(f"this task of reasoning-gym needs the library {self.__name__}: install {self.__name__}")


def library(source: str) -> ModuleType:
    """The library reasoning_gym, also without pycosat: that needs a C compiler and serves the task zebra_puzzles alone.

    Raises:
        RecipeError: it is not installed.
    """
    if "pycosat" not in sys.modules and importlib.util.find_spec("pycosat") is None:
        sys.modules["pycosat"] = _NotInstalled("pycosat")
    return require("reasoning_gym", "demo", source)


def create(gym: Any, name: str, task: TaskOptions, seed: int, source: str) -> Any:
    """The dataset of one task. Raises RecipeError for a task or a setting that reasoning-gym does not know."""
    try:
        return gym.create_dataset(name, size=task.count, seed=task_seed(seed, name), **task.config)
    except Exception as error:  # unknown names, unknown settings and values out of range raise all kinds of errors
        raise RecipeError(f"source {source!r}: tasks.{name}: {type(error).__name__}: {error}") from error


def load(spec: Source, options: Options, seed: int) -> Opened:
    """The source, open for reading. A problem is named `<task>/<number>`; a limit is shared evenly among the tasks."""
    gym = library(spec.name)
    sizes = {name: task.count for name, task in options.tasks.items()}
    counts = sizes if spec.limit is None else allocate(spec.limit, sizes, dict.fromkeys(sizes, 1.0))
    datasets = {name: create(gym, name, task, seed, spec.name) for name, task in options.tasks.items()}

    def drafts() -> Iterator[Draft | Reject]:
        for name, task in options.tasks.items():
            for number in range(counts[name]):
                yield _draft(spec, f"{name}/{number}", name, task, datasets[name], number)

    return Opened(drafts(), rows=sum(sizes.values()), revision=version("reasoning-gym"))


def _draft(spec: Source, row: str, name: str, task: TaskOptions, dataset: Any, number: int) -> Draft | Reject:
    try:
        entry = dataset[number]
        text, answer = entry["question"].strip(), str(entry["answer"]).strip()
    except Exception as error:  # a generator may fail on a setting that its config let pass
        return reject(spec, row, "math", "generation_failed", f"{type(error).__name__}: {error}")
    if not text or not answer:
        return reject(spec, row, "math", "empty_answer" if text else "empty_text", f"{name}: {text[:200]}")
    fields = {
        "source": spec.name,
        "source_row": row,
        "task": "math",
        "text": text,
        "answer": answer,
        "answer_type": task.answer_type or TASKS.get(name) or infer_answer_type(answer),
        "licence": LICENCE,
        "extra": json.dumps({"reasoning_gym_task": name}),
    }
    return Draft(fields)
