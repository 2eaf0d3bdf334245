"""The parts of the recipe that say how models are trained on what was curated."""

from typing import Annotated, ClassVar

from pydantic import Field

from records.recipe.section import Positive, Section


class Sft(Section):
    """The SFT job."""

    ALWAYS_HASHED: ClassVar = ("steps", "batch_size", "learning_rate", "lora_rank", "max_length")

    formats: list[str] = Field(default_factory=lambda: ["llamafactory_sharegpt", "trl_messages"])
    """The names of the formats (training/formats/) that the training set is written in."""
    steps: Positive = 100
    """The number of optimizer steps."""
    batch_size: Positive = 2
    """The number of trajectories per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """The peak learning rate."""
    lora_rank: Positive | None = 16
    """The rank of the LoRA adapter; null trains all weights."""
    max_length: Positive = 4096
    """The most tokens of one trajectory."""
    reasoning: bool = True
    """Whether the reasoning that the teacher's server gave apart from the text is written into its turns, between
    <think> and </think>: a student that is to think first learns it from there."""


class Rl(Section):
    """The RL job."""

    # fmt: off
    ALWAYS_HASHED: ClassVar = (
        "steps", "prompts_per_step", "group_size", "learning_rate", "lora_rank", "temperature", "max_tokens",
        "max_turns",
    )
    # fmt: on

    formats: list[str] = Field(default_factory=lambda: ["verl_parquet", "trl_prompts"])
    """The names of the formats (training/formats/) that the training set is written in."""
    steps: Positive = 100
    """The number of optimizer steps."""
    prompts_per_step: Positive = 8
    """The number of questions per step."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """The number of attempts per question, whose rewards are compared with each other."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    """The peak learning rate."""
    lora_rank: Positive | None = 16
    """The rank of the LoRA adapter; null trains all weights."""
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    """The sampling temperature of the attempts."""
    max_tokens: Positive = 512
    """The most tokens that the model may write per turn."""
    max_turns: Positive = 6
    """The most assistant turns per attempt."""
