"""Checking settings against their types, and saying what is wrong in a person's words."""

import difflib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the file, the key, what was given and what is allowed."""


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _field_names(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys allowed beside the last key of `location`, as far as the model can tell."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        if not (isinstance(current, type) and issubclass(current, BaseModel)) or part not in current.model_fields:
            return []
        current = current.model_fields[part].annotation
        while getattr(current, "__args__", None) and not (isinstance(current, type) and issubclass(current, BaseModel)):
            inner = [a for a in current.__args__ if isinstance(a, type) and issubclass(a, BaseModel)]
            current = inner[0] if inner else current.__args__[0]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []


def explain(error: ValidationError, model: type[BaseModel], file: str, prefix: str = "") -> str:
    """A validation error for a person: file, key, what was given, what is allowed."""
    lines = []
    for item in error.errors():
        location = tuple(item["loc"])
        key = ".".join(str(part) for part in ([prefix] if prefix else []) + list(location)) or "(the whole file)"
        if item["type"] == "extra_forbidden":
            allowed = _field_names(model, location)
            close = difflib.get_close_matches(str(location[-1]), allowed, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            lines.append(f"{file}: {key}: no such key{hint}; allowed: {', '.join(allowed) or 'none'}")
        elif item["type"] == "missing":
            lines.append(f"{file}: {key}: this key is needed")
        else:
            given = "" if isinstance(item["input"], dict | BaseModel) else f"; given: {item['input']!r}"
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{file}: {key}: {message}{given}")
    return "\n".join(lines)


def check_settings(model: type[Settings], values: dict[str, Any], file: str, key: str) -> Settings:
    """Check a part of the recipe whose shape a plug-in defines (a loader's options, say).

    Raises:
        RecipeError: naming the file and the key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(explain(error, model, file, key)) from None
