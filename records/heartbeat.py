"""Progress of long steps: a line at least every ten seconds, and the seconds that have passed."""

import threading
import time
from collections.abc import Callable

PROGRESS_SECONDS = 10.0


class Heartbeat:
    """Says how far a job is at least every ten seconds, also in the middle of a long step."""

    def __init__(self, line: Callable[[], str], say: Callable[[str], None]) -> None:
        self._line, self._say, self._stop = line, say, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self._stop.wait(PROGRESS_SECONDS):
            self._say(self._line())

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 1)
