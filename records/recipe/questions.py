"""The part of the recipe that says which questions are worth asking: images, wording, duplicates, decontamination."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from records.recipe.section import Positive, Section, Share


class ImageRules(Section):
    """The limits of an image. The first three are what model families ask for. They reject questions, not images, so
    that they can be changed without reading anything again."""

    min_side: Positive = 28
    """The fewest pixels of the shorter side. 28 is a patch of Qwen2-VL and Qwen2.5-VL, 32 one of Qwen3-VL."""
    max_aspect: Annotated[float, Field(gt=1)] = 200.0
    """The largest ratio of longer side to shorter side. 200 is the most that Qwen's processors take; DeepEyes allows
    100."""
    max_pixels: Annotated[int, Field(ge=1, le=50_000_000)] = 50_000_000
    """The most pixels (width times height); images with more than 50 million are not decoded."""
    decode_s: Annotated[float, Field(gt=0)] = 20.0
    """CPU seconds that decoding one image may take."""
    decode_mb: Positive = 2048
    """Memory limit of a process that decodes, in MB."""
    workers: Positive | None = None
    """The number of processes that decode; one per core when not given."""


class Wording(Section):
    """Rules for the text of a question."""

    open_choices: bool = True
    """Ask a multiple-choice question without its choices if they are not needed to answer it."""
    time_bound: bool = True
    """Reject questions whose answer changes with time ("who is the current …")."""


class SemanticDuplicates(Section):
    """How questions that mean the same in other words are found, by sentence embeddings."""

    model: str | None = None
    """A sentence-transformers model: a folder or a hub id."""
    revision: str | None = None
    package: str | None = None
    """The name of a Python package that holds the model's files, used if `model` is not given or cannot be found."""
    similarity: Share = 0.95
    """The cosine similarity from which two questions with the same numbers and agreeing answers mean the same."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.model or self.package):
            raise ValueError("give at least one of model, package")
        return self


class Duplicates(Section):
    """Rules for when two questions count as one."""

    near: Share | None = 0.7
    """The Jaccard similarity of the texts' shingles from which two questions about the same image (or about none) count
    as one, if they have the same words apart from typing mistakes, the same numbers, and answers that agree. null: only
    equal texts count as one."""
    images: Positive | None = 10
    """The number of bits, of 64, in which the perceptual hashes of two images of the same picture may differ. null:
    only equal bytes count as one image."""
    semantic: SemanticDuplicates | None = None
    """How questions with the same meaning are found; null: they are not looked for."""


class Benchmark(Section):
    """An evaluation set that must not be trained on."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    loader: str = "huggingface"
    options: dict[str, Any] = Field(default_factory=dict)
    """The loader's settings; {published: name} for one whose columns are known (docs/sources.md)."""
    limit: Positive | None = None


class Decontamination(Section):
    """Rules for removing questions that overlap with an evaluation set."""

    benchmarks: list[Benchmark] = Field(default_factory=list)
    waived: list[str] = Field(default_factory=list)
    """Evaluation sets that a published source should be checked against, but that the recipe leaves out on purpose."""
    ngram: Positive = 8
    """The number of consecutive shared words from which two texts are compared."""
    overlap: Share = 0.7
    """The share of a benchmark text's n-grams, weighted by how rare they are, that makes a question a hit."""
    similarity: Share = 0.9
    """The cosine similarity of a text that makes a hit, if `duplicates.semantic` names a model."""
    image_bits: Positive = 10
    """The number of bits, of 64, in which a benchmark's image (or a part of it) and an image may differ to be
    compared."""
    crops: bool = True
    """Also look for parts of the benchmarks' images."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [benchmark.name for benchmark in self.benchmarks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"benchmarks: the name {sorted(twice)[0]!r} is given twice")
        return self


class QuestionRules(Section):
    """Which questions are worth asking."""

    images: ImageRules = ImageRules()
    wording: Wording = Wording()
    duplicates: Duplicates = Duplicates()
    decontamination: Decontamination = Decontamination()
