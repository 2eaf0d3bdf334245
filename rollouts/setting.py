"""What attempts have in common: the arm, the dialect, the tools, how they are sampled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from records.identity import content_hash, hashed
from records.images.store import ImageStore
from records.recipe import Sampling
from rollouts.dialects import Dialect
from rollouts.tools import Tool

VERSION = 2
"""The version of what an attempt is, beyond what its prompts, tools and sampling say: how turns are read and which ends
are outcomes. It enters the identity of every rollout: count it up when stored attempts have to be made again.

2: tags that are mentioned are no actions, thoughts are known, a refusal is not an attempt (1 was not declared)."""


def sampling_identity(sampling: Sampling) -> dict[str, Any]:
    """The settings as they enter fingerprints and are stored with a rollout; a limit that is not set is left out."""
    return hashed(sampling)


@dataclass(frozen=True)
class Setting:
    """What the attempts of one arm at questions of one task have in common."""

    arm: str
    dialect: Dialect
    tools: Mapping[str, Tool]
    sampling: Sampling
    images: ImageStore
    sees_images: bool = False
    prompt_template: str = ""
    """Fingerprint of the way its prompts are made (rollouts.prompts.build.template_fingerprint)."""
    prefilled: bool = False
    """Whether its prompts hold results up front. Another setting may then come to the same words, where they make
    another attempt: `prompt_template` enters the identity of a rollout."""

    def tool_versions(self) -> dict[str, str]:
        return {name: tool.version for name, tool in sorted(self.tools.items())}

    def fingerprint(self, model_fingerprint: str, version: int = VERSION) -> str:
        """Identity of the setting: two attempts at one question in it differ in the sample index alone.

        Args:
            version: the version of what an attempt is; 1 gives what older ledgers are filed under.
        """
        sampling = sampling_identity(self.sampling)
        tools = self.tool_versions()
        declared = [version] if version > 1 else []
        return content_hash([self.arm, model_fingerprint, self.prompt_template, sampling, tools, *declared])
