"""A section of a recipe, checked against its types; what is wrong with it is said in a person's words."""

import difflib
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, from 0 to 1."""
Positive = Annotated[int, Field(ge=1)]
"""A whole number of at least 1."""
PositiveReal = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the file, the key, the value and what is allowed."""


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused, and a section never changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _spellings(name: str, field: Any) -> list[str]:
    """Every key under which a field may be given; the field's own name comes first."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name]


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The models within an annotation such as `list[Source] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections(part)]


def _section_of(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The section that the last key of `location` belongs to; None where it cannot be told."""
    current = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        fields = [field for name, field in current.model_fields.items() if part in _spellings(name, field)]
        extra = current.__annotations__.get("__pydantic_extra__")
        inside = _sections(fields[0].annotation if fields else extra)
        if not inside:
            return None
        current = inside[0]
    return current


def _no_such_key(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    section, given = _section_of(model, location), str(location[-1])
    spellings = [_spellings(name, field) for name, field in section.model_fields.items()] if section else []
    if twice := [names for names in spellings if given in names]:
        other = next(name for name in twice[0] if name != given)
        return f"this is another spelling of {other}, which is given as well: give one of them"
    close = difflib.get_close_matches(given, [name for names in spellings for name in names], 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"no such key{hint}; allowed: {', '.join(sorted(names[0] for names in spellings)) or 'none'}"


def explain(error: ValidationError, model: type[BaseModel], file: str, prefix: str = "") -> str:
    """A validation error for a person: one line per mistake, with the file, the key, the value and what is allowed."""
    lines = []
    for item in error.errors():
        location = tuple(item["loc"])
        key = ".".join(str(part) for part in ([prefix] if prefix else []) + list(location)) or "(the whole file)"
        if item["type"] == "extra_forbidden":
            lines.append(f"{file}: {key}: {_no_such_key(model, location)}")
        elif item["type"] == "missing":
            lines.append(f"{file}: {key}: this key is needed")
        else:
            given = "" if isinstance(item["input"], dict | BaseModel) else f"; given: {item['input']!r}"
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{file}: {key}: {message}{given}")
    return "\n".join(lines)


def check_settings(model: type[Settings], values: dict[str, Any], file: str, key: str) -> Settings:
    """Check a part of the recipe whose shape a plug-in defines, such as a loader's options.

    Raises:
        RecipeError: naming the file and the key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(explain(error, model, file, key)) from None
