"""From the images that come with the rows of a source to the normal forms that are stored: in order, each decoded once,
with no more in memory than a few batches of them, however many there are."""

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

_BATCH_IMAGES, _BATCH_BYTES = 8, 2**20
"""What goes to a decoder in one message; one image may be more."""
_BATCHES = 4
"""Batches for each decoder that may be under way, or done and waiting for an older one."""
_BYTES = 2**28
"""Bytes of images from which no more are taken in until some are given out."""
_ROWS = 1000
"""Rows that may wait behind one that is being decoded."""
_RECENT = 10_000
"""Images of which it is remembered that they were given out: rows about one image often come close together."""


class _Batch:
    """Images that go to a decoder together."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.bytes = 0
        self.left = 0
        """Images that were not given out yet."""
        self.results: Future[list[NormalImage | ImageError]] | None = None

    def add(self, arrived: str, data: bytes) -> "_Arrival":
        self.pictures.append((arrived, data))
        self.bytes += len(data)
        self.left += 1
        return _Arrival(self, self.left - 1, arrived)

    def held(self) -> int:
        """Bytes of its images; a normal form may be longer than what came."""
        if self.results is None or not self.results.done() or self.results.exception() is not None:
            return self.bytes
        return sum(len(result.data) for result in self.results.result() if isinstance(result, NormalImage))


class _Arrival:
    """An image that is decoded with its batch."""

    def __init__(self, batch: _Batch, place: int, arrived: str) -> None:
        self.batch, self.place, self.arrived = batch, place, arrived
        self.released = False


_Slot = _Arrival | ImageFacts | ImageError


class ImageIntake:
    """Brings images into their normal form, in processes of their own with limits.

    Args:
        rules: what one image may take (decode_s, decode_mb), and how many processes decode.
        known: the facts of images that were taken in before, by the hash of the bytes that came: a mapping, or a
            function that returns None for others. They are not decoded again.

    No process starts before an image comes that is not known, and a few images start only one.
    """

    def __init__(
        self, rules: ImageRules, known: Mapping[str, ImageFacts] | Callable[[str], ImageFacts | None] | None = None
    ) -> None:
        self._known = known if callable(known) else (known or {}).get
        self._workers = rules.workers or len(os.sched_getaffinity(0))
        self._decoders = Decoders(self._workers, rules.decode_s, rules.decode_mb)
        self._given: OrderedDict[str, ImageFacts | ImageError] = OrderedDict()
        self._clear()

    def _clear(self) -> None:
        self._filling = _Batch()
        self._batches: set[_Batch] = set()
        self._coming: dict[str, _Arrival] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._decoders.close()

    def take(
        self, items: Iterable[tuple[Item, list[bytes]]]
    ) -> Iterator[tuple[Item, list[NormalImage | ImageFacts] | ImageError]]:
        """What becomes of the images of each item, in the order of the items, which are drawn as they are needed.

        An image is given as a NormalImage, to be stored, the first time, and as its ImageFacts when it is known or was
        given out before. An item of which one image is no good gets that image's error, and none of the others is
        given. Beside the reasons of `normal_form` there are `image_too_slow` (CPU time), `image_too_large` also for
        memory, and `image_crashed_decoder` for an image of which a process died twice.

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
        if arrived in self._given:
            self._given.move_to_end(arrived)
            return self._given[arrived]
        if arrived in self._coming:
            return self._coming[arrived]
        if len(data) > MAX_BYTES:  # not even sent
            return ImageError("image_too_large", f"{len(data)} bytes, at most {MAX_BYTES} are taken")
        batch = self._filling
        self._batches.add(batch)
        arrival = self._coming[arrived] = batch.add(arrived, data)
        if len(batch.pictures) >= _BATCH_IMAGES or batch.bytes >= _BATCH_BYTES:
            self._send()
        return arrival

    def _send(self) -> None:
        batch, self._filling = self._filling, _Batch()
        batch.results = self._decoders.submit(batch.pictures)
        batch.pictures = []

    @staticmethod
    def _ready(slots: list[_Slot]) -> bool:
        batches = (slot.batch.results for slot in slots if isinstance(slot, _Arrival))
        return all(results is not None and results.done() for results in batches)

    def _full(self, rows: int) -> bool:
        return (
            rows >= _ROWS
            or len(self._batches) >= _BATCHES * self._workers
            or sum(batch.held() for batch in self._batches) >= _BYTES
        )

    def _outcome(self, item: Item, slots: list[_Slot]) -> tuple[Item, list[NormalImage | ImageFacts] | ImageError]:
        """Waits for the images of an item."""
        outcomes = [self._wait(slot) if isinstance(slot, _Arrival) else slot for slot in slots]
        bad = next((place for place, outcome in enumerate(outcomes) if isinstance(outcome, ImageError)), None)
        for slot, outcome in zip(slots, outcomes, strict=True):
            if isinstance(slot, _Arrival):
                self._release(slot)
                if isinstance(outcome, ImageError):
                    self._remember(slot.arrived, outcome)
                elif bad is None and isinstance(outcome, NormalImage):
                    self._remember(slot.arrived, outcome.facts)
        if bad is None:
            return item, outcomes
        error = outcomes[bad]
        where = f"image {bad + 1} of {len(slots)}: " if len(slots) > 1 else ""
        return item, ImageError(error.reason, where + error.detail)

    def _wait(self, arrival: _Arrival) -> NormalImage | ImageFacts | ImageError:
        if arrival.arrived in self._given:  # an item before this one had the same image
            return self._given[arrival.arrived]
        if arrival.batch.results is None:
            self._send()
        return arrival.batch.results.result()[arrival.place]

    def _release(self, arrival: _Arrival) -> None:
        if not arrival.released:
            arrival.released = True
            self._coming.pop(arrival.arrived)
            arrival.batch.left -= 1
            if not arrival.batch.left:
                self._batches.discard(arrival.batch)

    def _remember(self, arrived: str, outcome: ImageFacts | ImageError) -> None:
        self._given[arrived] = outcome
        if len(self._given) > _RECENT:
            self._given.popitem(last=False)
