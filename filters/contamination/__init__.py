"""Questions that the evaluation sets, or the prompt's worked examples, ask too."""

STAGE = "contamination"
"""The stage of the rejects of this folder."""
