"""The arm `tools`: the recipe's tools may be called, and their results are shown."""

from rollouts.prompts.forms import FORMS

FORM = FORMS["tools"]
