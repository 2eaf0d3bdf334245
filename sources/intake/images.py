"""The intake brings the images of a source into the normal forms that are stored: in order, each decoded once, and with
no more than a few batches in memory, however many images there are."""

import hashlib
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from records.images.normal_form import NormalImage
from records.images.store import MAX_BYTES, ImageError, ImageFacts
from records.recipe.questions import ImageRules
from sources.intake.decoders import Decoders, Picture

Item = TypeVar("Item")

_BATCH_IMAGES = 8
"""The most images that go to a decoder in one message."""
_BATCH_BYTES = 2**20
"""The number of bytes at which a message is full; a single image may be longer."""
_BATCHES_PER_DECODER = 4
"""The most batches per decoder that are being decoded, or are done and wait for an older one."""
_BYTES_IN_MEMORY = 2**28
"""The number of bytes of images at which no more are taken in until some are handed on."""
_WAITING_ROWS = 1000
"""The most rows that wait behind one that is being decoded."""
_REMEMBERED = 10_000
"""The number of images whose outcome is remembered: rows about one image often come close together."""


class _Batch:
    """Images that go to a decoder in one message."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.bytes = 0
        self.left = 0
        """The number of images that were not handed on yet."""
        self.results: Future[list[NormalImage | ImageError]] | None = None

    def add(self, arrived: str, data: bytes) -> "PendingImage":
        self.pictures.append((arrived, data))
        self.bytes += len(data)
        self.left += 1
        return PendingImage(self, self.left - 1, arrived)

    def size(self) -> int:
        """The bytes of its images in memory; a normal form may be longer than what came."""
        if self.results is None or not self.results.done() or self.results.exception() is not None:
            return self.bytes
        return sum(len(result.data) for result in self.results.result() if isinstance(result, NormalImage))


class PendingImage:
    """An image that is decoded with its batch."""

    def __init__(self, batch: _Batch, place: int, arrived: str) -> None:
        self.batch, self.place, self.arrived = batch, place, arrived
        self.released = False


_Slot = PendingImage | ImageFacts | ImageError


class ImageIntake:
    """The intake of images: it brings them into their normal form, in separate processes with limits.

    Args:
        rules: what one image may take (decode_s, decode_mb), and how many processes decode.
        known: the facts of images that were taken in before, by the hash of the bytes that came: a mapping, or a
            function that returns None for others. They are not decoded again.

    The first process starts when an image comes that is not known, and a few images start only one.
    """

    def __init__(
        self, rules: ImageRules, known: Mapping[str, ImageFacts] | Callable[[str], ImageFacts | None] | None = None
    ) -> None:
        self._known = known if callable(known) else (known or {}).get
        self._workers = rules.workers or len(os.sched_getaffinity(0))
        self._decoders = Decoders(self._workers, rules.decode_s, rules.decode_mb)
        self._recent: OrderedDict[str, ImageFacts | ImageError] = OrderedDict()
        self._clear()

    def _clear(self) -> None:
        self._filling = _Batch()
        self._batches: set[_Batch] = set()
        self._coming: dict[str, PendingImage] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._decoders.close()

    def take(
        self, items: Iterable[tuple[Item, list[bytes]]]
    ) -> Iterator[tuple[Item, list[NormalImage | ImageFacts] | ImageError]]:
        """What becomes of the images of each item, in the order of the items, which are drawn as they are needed.

        An image comes as a NormalImage, to be stored, the first time, and as its ImageFacts if it is known or came
        before. If one image of an item cannot be read, the item gets that image's error and none of its other images.
        Beside the reasons of `normal_form` there are `image_too_slow` (CPU time), `image_too_large` also for memory,
        and `image_crashed_decoder` for an image that a process died of twice.

        Raises:
            RuntimeError: no process that decodes can be started.
        """
        waiting: deque[tuple[Item, list[_Slot]]] = deque()
        try:
            for item, pictures in items:
                waiting.append((item, [self._slot(data) for data in pictures]))
                while waiting and (self._ready(waiting[0][1]) or self._full(len(waiting))):
                    yield self._outcome(*waiting.popleft())
            while waiting:
                yield self._outcome(*waiting.popleft())
        finally:
            self._clear()

    def _slot(self, data: bytes) -> _Slot:
        """What is known of an image, or its place in a batch."""
        arrived = hashlib.sha256(data).hexdigest()
        if (facts := self._known(arrived)) is not None:
            return facts
        if arrived in self._recent:
            self._recent.move_to_end(arrived)
            return self._recent[arrived]
        if arrived in self._coming:
            return self._coming[arrived]
        if len(data) > MAX_BYTES:  # not even sent
            return ImageError("image_too_large", f"{len(data)} bytes, at most {MAX_BYTES} are taken")
        batch = self._filling
        self._batches.add(batch)
        pending = self._coming[arrived] = batch.add(arrived, data)
        if len(batch.pictures) >= _BATCH_IMAGES or batch.bytes >= _BATCH_BYTES:
            self._send()
        return pending

    def _send(self) -> None:
        batch, self._filling = self._filling, _Batch()
        batch.results = self._decoders.submit(batch.pictures)
        batch.pictures = []

    @staticmethod
    def _ready(slots: list[_Slot]) -> bool:
        batches = (slot.batch.results for slot in slots if isinstance(slot, PendingImage))
        return all(results is not None and results.done() for results in batches)

    def _full(self, rows: int) -> bool:
        return (
            rows >= _WAITING_ROWS
            or len(self._batches) >= _BATCHES_PER_DECODER * self._workers
            or sum(batch.size() for batch in self._batches) >= _BYTES_IN_MEMORY
        )

    def _outcome(self, item: Item, slots: list[_Slot]) -> tuple[Item, list[NormalImage | ImageFacts] | ImageError]:
        """An item with what became of its images; it blocks until they are decoded."""
        outcomes = [self._wait(slot) if isinstance(slot, PendingImage) else slot for slot in slots]
        errors = ((place, outcome) for place, outcome in enumerate(outcomes, 1) if isinstance(outcome, ImageError))
        bad = next(errors, None)
        for slot, outcome in zip(slots, outcomes, strict=True):
            if isinstance(slot, PendingImage):
                self._release(slot)
                if isinstance(outcome, ImageError):
                    self._remember(slot.arrived, outcome)
                elif bad is None and isinstance(outcome, NormalImage):
                    self._remember(slot.arrived, outcome.facts)
        if bad is None:
            return item, [outcome for outcome in outcomes if not isinstance(outcome, ImageError)]
        number, error = bad
        where = f"image {number} of {len(slots)}: " if len(slots) > 1 else ""
        return item, ImageError(error.reason, where + error.detail)

    def _wait(self, pending: PendingImage) -> NormalImage | ImageFacts | ImageError:
        if pending.arrived in self._recent:  # an item before this one had the same image
            return self._recent[pending.arrived]
        if pending.batch.results is None:
            self._send()
        results = pending.batch.results
        assert results is not None  # a batch that was not sent is the one being filled
        return results.result()[pending.place]

    def _release(self, pending: PendingImage) -> None:
        if not pending.released:
            pending.released = True
            self._coming.pop(pending.arrived)
            pending.batch.left -= 1
            if not pending.batch.left:
                self._batches.discard(pending.batch)

    def _remember(self, arrived: str, outcome: ImageFacts | ImageError) -> None:
        self._recent[arrived] = outcome
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
