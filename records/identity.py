"""Identity by content: the same content has the same id on every machine and in every run."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON text of `value` with sorted keys and no spaces, so that equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Any) -> str:
    """The first 32 hex digits (128 bits) of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


def unit_interval(key: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on `key` and `salt` alone: the basis of splits that never move."""
    return int.from_bytes(hashlib.sha256(f"{salt}\0{key}".encode()).digest()[:8], "big") / 2**64
