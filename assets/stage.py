"""What a file of this folder brings to the graph, by its function `stage(recipe) -> StageAssets`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg


@dataclass(frozen=True)
class StageAssets:
    """The assets and checks of one stage."""

    assets: Sequence[dg.AssetsDefinition | dg.AssetChecksDefinition]
    rejects: Mapping[str, str] = field(default_factory=dict)
    """Which asset writes the rejects, by the stage that they are filed under."""
