"""Coroutines run from ordinary code: one event loop, in a thread of its own, for the whole process.

Trainers call tools from threads without a loop, or from loops that come and go; a sandbox keeps to one.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.RLock()  # a finalizer may submit while this thread holds it
_running: tuple[int, asyncio.AbstractEventLoop, threading.Thread] | None = None
"""Process, loop and its thread: a forked child has the variable but not the thread."""


def _background() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    global _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="touchstone-environments", daemon=True)
            thread.start()
            _running = (os.getpid(), loop, thread)
        return _running[1:]


def submit(coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
    """Start on the background loop; from any thread. Cancelling the future cancels the coroutine."""
    return asyncio.run_coroutine_threadsafe(coroutine, _background()[0])


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on the background loop and wait for the result. Raises what the coroutine raises.

    Raises:
        RuntimeError: called on the background loop itself, where waiting would never end.
    """
    loop, thread = _background()
    if threading.current_thread() is thread:
        coroutine.close()
        raise RuntimeError("blocking.run was called on the loop that it would wait for")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # an interrupt while waiting; without effect where the coroutine itself raised
        raise


def at_exit(close: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run `close` when this process ends, but not when a forked child does. Returns what atexit.unregister takes."""
    owner = os.getpid()

    def ending() -> None:
        if os.getpid() == owner:
            run(close())

    return atexit.register(ending)
