"""Identity by content: the same content has the same id on every machine and in every run."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def canonical_json(value: Any) -> str:
    """JSON text of `value` with sorted keys and no spaces, so that equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Any) -> str:
    """The first 32 hex digits (128 bits) of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


def hashed(model: BaseModel, leaving_out: Collection[str] = ()) -> dict[str, Any]:
    """The fields of `model` that enter a hash, as JSON values; models inside of it likewise.

    A field enters if its class names it in `ALWAYS_HASHED` (a ClassVar: the fields that the class had when its first
    hashes were stored), and otherwise only if its value is not its default. So a field that is added later, with a
    default, moves no hash that was stored before.

    Args:
        leaving_out: names of fields of `model` itself that never enter.
    """
    always = getattr(type(model), "ALWAYS_HASHED", ())
    entering = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name in leaving_out:
            continue
        if name in always or field.is_required() or value != field.get_default(call_default_factory=True):
            entering[name] = _json_value(value)
    return entering


def _json_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return hashed(value)
    if isinstance(value, Mapping):
        return {key: _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    return to_jsonable_python(value)


def unit_interval(key: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on `key` and `salt` alone: the basis of splits that never move."""
    return int.from_bytes(hashlib.sha256(f"{salt}\0{key}".encode()).digest()[:8], "big") / 2**64
