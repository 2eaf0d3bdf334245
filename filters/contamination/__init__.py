STAGE = "contamination"
"""The stage of the rejects of this folder."""
