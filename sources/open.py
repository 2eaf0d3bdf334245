"""The sources and corpora that a recipe names, opened: their options are checked and their images stored."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel

from records.images.normal_form import NormalImage
from records.images.store import ImageError, ImageFacts, ImageStore
from records.question import Document, Question, Reject
from records.recipe import Corpus, Source
from records.recipe.questions import ImageRules
from records.recipe.section import RecipeError, check_settings
from sources.contract import Draft, Opened
from sources.draw import reject
from sources.intake.images import ImageIntake
from sources.loaders import get_loader, loader_names
from sources.mapping.published import read_published

Use = Literal["questions", "documents"]
Known = Callable[[str], ImageFacts | None]
LookedAt = NormalImage | ImageFacts


def _check(name: str, values: dict[str, Any], use: Use, file: str, key: str) -> BaseModel:
    try:
        loader = get_loader(name)
    except RecipeError as error:
        raise RecipeError(f"{file}: {key}.loader: {error}") from None
    if use == "documents" and not hasattr(loader, "documents"):
        able = [n for n in loader_names() if hasattr(get_loader(n), "documents")]
        raise RecipeError(f"{file}: {key}.loader: {name!r} has no documents; loaders that do: {', '.join(able)}")
    options = check_settings(loader.Options, values, file, f"{key}.options")
    if hasattr(loader, "check"):
        try:
            loader.check(options, use)
        except ValueError as error:
            raise RecipeError(f"{file}: {key}.options: {error}") from None
    return options


def check_source(spec: Source, file: str, index: int, section: str = "sources") -> BaseModel:
    """The checked options of the source number `index` (from 0) of a section of the recipe. No data library is imported
    and no data are read.

    Raises:
        RecipeError: naming the file, the key, the value and what is allowed.
    """
    return _check(spec.loader, spec.options, "questions", file, f"{section}.{index}")


def must_be_checked_against(spec: Source) -> list[str]:
    """The evaluation sets whose images or texts a published source shares (names of published mappings)."""
    name = spec.options.get("published")
    return read_published(name).check_against if isinstance(name, str) else []


def check_corpus(spec: Corpus, file: str, index: int) -> BaseModel:
    """The checked options of the recipe's corpus number `index`. Raises RecipeError like `check_source`."""
    return _check(spec.loader, spec.options, "documents", file, f"search.corpus.{index}")


class OpenedSource:
    """A source that is read: one question or reject per raw row drawn, its images stored.

    `rows`, `columns` and `revision` are those of `Opened`. `facts` gathers what is found out about images that were not
    known; whoever iterates may empty it.
    """

    def __init__(self, spec: Source, opened: Opened, images: ImageStore, intake: ImageIntake) -> None:
        self.rows, self.columns, self.revision = opened.rows, opened.columns, opened.revision
        self.facts: list[ImageFacts] = []
        self._spec, self._drafts, self._images, self._intake = spec, opened.drafts, images, intake

    def __iter__(self) -> Iterator[Question | Reject]:
        # An evaluation set keeps every image that can be read, even if others of the same row cannot.
        items = _with_pictures(self._drafts, apart=self._spec.evaluation)
        good: list[LookedAt] = []
        bad: ImageError | None = None
        with self._intake as intake:
            for (row, last), looked_at in intake.take(items):
                if isinstance(looked_at, ImageError):
                    bad = bad or looked_at
                else:
                    good += looked_at
                if last:
                    yield row if isinstance(row, Reject) else self._question(row, good, bad)
                    good, bad = [], None

    def _question(self, draft: Draft, good: list[LookedAt], bad: ImageError | None) -> Question | Reject:
        fields = draft.fields
        if bad is not None:
            if not self._spec.evaluation:
                return reject(self._spec, fields["source_row"], fields["task"], bad.reason, bad.detail)
            extra = {**json.loads(fields.get("extra", "{}")), "not_read": bad.reason}
            fields = {**fields, "extra": json.dumps(extra, ensure_ascii=False)}
        for image in good:
            if isinstance(image, NormalImage):
                self._images.put(image.data)
                self.facts.append(image.facts)
        facts = [image.facts if isinstance(image, NormalImage) else image for image in good]
        if draft.evidence is not None:
            fields = {**fields, "extra": draft.evidence.added_to(fields.get("extra", "{}"), facts)}
        return Question(**fields, images=[image.image for image in facts])


def _with_pictures(
    drafts: Iterator[Draft | Reject], apart: bool
) -> Iterator[tuple[tuple[Draft | Reject, bool], list[bytes]]]:
    """Every row with all its images or, if `apart`, with one image at a time; and whether that is the row's last."""
    for draft in drafts:
        pictures = draft.pictures if isinstance(draft, Draft) else []
        groups = [[picture] for picture in pictures] if apart and pictures else [pictures]
        for number, group in enumerate(groups, 1):
            yield (draft, number == len(groups)), group


def open_source(
    spec: Source, seed: int, images: ImageStore, rules: ImageRules, known: Known = lambda arrived: None
) -> OpenedSource:
    """A source that is open for reading.

    Args:
        spec: the source as the recipe declares it.
        seed: the recipe's seed, which a limited draw depends on.
        images: the store that the normal forms of its images go to.
        rules: what one image may take.
        known: the facts of an image that was decoded before, by the hash of the bytes that came; None for others.

    Raises:
        RecipeError: the source cannot be read at all (a missing library, file or column).
    """
    options = check_source(spec, "recipe", 0)
    opened = get_loader(spec.loader).load(spec, options, seed)
    return OpenedSource(spec, opened, images, ImageIntake(rules, known))


def load_source(spec: Source, seed: int, images: ImageStore) -> Iterator[Question | Reject]:
    """The questions and rejects of a source, one per raw row drawn. Raises RecipeError like `open_source`."""
    yield from open_source(spec, seed, images, ImageRules())


def corpus_documents(corpus: list[Corpus]) -> Iterator[Document]:
    """The documents of all corpora of the search tool, in the recipe's order."""
    for index, spec in enumerate(corpus):
        options = check_corpus(spec, "recipe", index)
        yield from get_loader(spec.loader).documents(options)
