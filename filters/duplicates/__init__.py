"""Questions, texts and images that are the same, or nearly so, as others of the table."""

STAGE = "duplicates"
"""The stage of the rejects of this folder."""
