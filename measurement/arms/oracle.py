"""The arm `oracle`: no tool may be called; the prompt shows the evidence that the source annotates."""

from rollouts.prompts.forms import FORMS

FORM = FORMS["oracle"]
