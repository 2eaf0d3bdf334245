STAGE = "duplicates"
"""The stage of the rejects of this folder."""
