"""What an asset shows beside its table, and how it fails when a room below gives up."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from measurement.arm_runner import MeasurementError
from reports.markdown import Markdown
from rollouts.models.roles import RoleError


def shown(metadata: Mapping[str, object]) -> dict[str, Any]:
    """Metadata for Dagster: markdown is shown as markdown, a path as a path, a mapping, list or model as JSON."""
    return {name: _shown(value) for name, value in metadata.items()}


def _shown(value: object) -> Any:
    if isinstance(value, Markdown):
        return dg.MetadataValue.md(str(value))
    if isinstance(value, Path):
        return dg.MetadataValue.path(str(value))
    if isinstance(value, BaseModel):
        return dg.MetadataValue.json(value.model_dump())
    return dg.MetadataValue.json(value) if isinstance(value, dict | list) else value


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turns what a room below gives up with into a failure that Dagster shows by its words alone.

    Raises:
        dg.Failure: a measurement or a role failed.
    """
    try:
        yield
    except (MeasurementError, RoleError) as error:
        raise dg.Failure(str(error)) from error
