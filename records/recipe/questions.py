"""The part of the recipe that says which questions are worth asking: images, wording, duplicates, decontamination."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from records.recipe.section import Positive, Section, Share


class ImageRules(Section):
    """What an image must be. The first three are what model families ask for, and reject no image at its arrival but
    its questions, so that they can be changed without reading anything again."""

    min_side: Positive = 28
    """Pixels of the shorter side. 28 is a patch of Qwen2-VL and Qwen2.5-VL, 32 one of Qwen3-VL."""
    max_aspect: Annotated[float, Field(gt=1)] = 200.0
    """Longer side over shorter side: 200 is the most that Qwen's processors take; DeepEyes allows 100."""
    max_pixels: Annotated[int, Field(ge=1, le=50_000_000)] = 50_000_000
    """Width times height; images with more than 50 million are not even decoded."""
    decode_s: Annotated[float, Field(gt=0)] = 20.0
    """CPU seconds to decode one image."""
    decode_mb: Positive = 2048
    """Memory of a process that decodes."""
    workers: Positive | None = None
    """Processes that decode; one a core by default."""


class Wording(Section):
    """What the text of a question may be."""

    open_choices: bool = True
    """Ask a multiple-choice question without its choices where they are not needed to answer it."""
    time_bound: bool = True
    """Reject what has another answer next year ("who is the current …")."""


class SemanticDuplicates(Section):
    """Questions that mean the same in other words, by sentence embeddings."""

    model: str | None = None
    """A sentence-transformers model: a folder or a hub id."""
    revision: str | None = None
    package: str | None = None
    """The name of a Python package that holds the model's files; used where `model` is not given or not there."""
    similarity: Share = 0.95
    """Cosine similarity from which two questions with the same numbers and agreeing answers mean the same."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.model or self.package):
            raise ValueError("give at least one of model, package")
        return self


class Duplicates(Section):
    """When two questions are one."""

    near: Share | None = 0.7
    """Jaccard similarity of the texts' shingles from which two questions about the same image (or about none) are one,
    if they have the same words, slips of the pen aside, the same numbers, and answers that agree. null: only equal
    texts are one."""
    images: Positive | None = 10
    """Bits of 64 in which the perceptual hashes of two images of the same picture may differ. null: only equal bytes
    are one image."""
    semantic: SemanticDuplicates | None = None
    """null: none are looked for."""


class Benchmark(Section):
    """An evaluation set that must not be trained on."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    loader: str = "huggingface"
    options: dict[str, Any] = Field(default_factory=dict)
    """The loader's settings; {published: name} for one whose columns are known (docs/sources.md)."""
    limit: Positive | None = None


class Decontamination(Section):
    """What of the evaluation sets may not come back in the questions."""

    benchmarks: list[Benchmark] = Field(default_factory=list)
    waived: list[str] = Field(default_factory=list)
    """Evaluation sets that a published source has to be checked against, and is not, because the recipe says so."""
    ngram: Positive = 8
    """Words in a row that two texts share, from which a text is looked at."""
    overlap: Share = 0.7
    """Share of a benchmark text's n-grams, weighted by how rare they are, that makes a question a hit."""
    similarity: Share = 0.9
    """Cosine similarity of a text that makes a hit, where `duplicates.semantic` names a model."""
    image_bits: Positive = 10
    """Bits of 64 in which a benchmark's image (or a part of it) and an image may differ to be looked at."""
    crops: bool = True
    """Look for parts of the benchmarks' images as well."""

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
