"""What the columns of the tables say, for the column table of the Dagster UI.

A column has one meaning in all tables; those of the table of tool benefits are described where they are made
(filters/benefit/columns.py).
"""

from filters.benefit.columns import COLUMNS as BENEFIT_COLUMNS

_QUESTION = {
    "question_id": "Hash of the question's content: task, text, images, choices and answer.",
    "source": "Name of the source in the recipe.",
    "source_row": "Where in its source the row came from.",
    "task": "perception, math or search.",
    "text": "The question.",
    "images": "Hashes of its images in the image store.",
    "choices": "The choices of a multiple-choice question.",
    "answer": "The gold answer; in tables of rollouts and trajectories the model's final answer.",
    "answer_type": "How answers are compared: number, choice, short_text, boolean, expression or set.",
    "aliases": "Other texts that count as the gold answer.",
    "answer_rule": "The benchmark whose metric compares the answers: chartqa, math, squad or vqa; empty: our rules.",
    "licence": "Licence of the row, as far as its source states one.",
    "extra": "What else the source says of the row, as JSON text; its key aid holds annotated evidence.",
    "first_seen": "When the run began in which the question first came, in milliseconds since 1970.",
    "pictures": "Groups of images that show the same picture; questions that share one stay on one side of a split.",
    "original": "The question before its choices were taken away, if it is asked without them now.",
    "arrived_as": "The question_id with which it came from its source.",
    "split": "curation or held_out; in training sets train or validation.",
    "chance": "Accuracy of the best blind guess (no image, no reasoning), 0 to 1.",
    "direct_pass_rate": "Unbiased estimate of the pass rate without tools, under the rule that stopped sampling.",
    "direct_stop": "Why sampling without tools stopped.",
    "route": "rl or cold_start.",
}
_ROLLOUT = {
    "rollout_id": "Hash of the question, arm, model, prompt, sampling, tools and sample index.",
    "arm": "In which form the question was attempted, such as direct or tools.",
    "model_fingerprint": "Identity of the model: weights, number format, chat template, server version.",
    "prompt_fingerprint": "Identity of this prompt.",
    "setting": "Identity of what all attempts of an arm at a task share; in it only the sample index differs.",
    "prompt_template": "Identity of the way prompts are made.",
    "sampling": "Sampling settings, as JSON text.",
    "tool_versions": "Version of each tool, as JSON text.",
    "sample_index": "Number of the attempt, from 0.",
    "prompt": "System turn, worked examples and the question, as JSON text.",
    "messages": "The turns after the prompt, as JSON text.",
    "tool_calls": "The executed calls with their results, as JSON text.",
    "prompt_tokens": "Tokens read, over all turns.",
    "completion_tokens": "Tokens written, over all turns.",
    "seconds": "Seconds of model and tool time, as first measured.",
    "stop_reason": "Why it ended; unfinished, malformed_reply, lost_content, context_length, refused are no attempts.",
    "error_class": "What the server or the tool said, where there was no attempt.",
    "correct": "Whether the answer is right; empty where there was no attempt.",
    "verdict": "The rule that decided.",
    "judged_with": "Identity of the verifier and of what it compared with.",
}
_OTHERS = {
    "row_id": "Identity of the row: of a question, rollout or trajectory, or source and row number.",
    "stage": "The stage that rejected the row.",
    "reason": "Reason code, to count by.",
    "detail": "The reason in a sentence.",
    "trajectory_id": "Hash of the rollout and its turns.",
    "checks": "What each check found, as JSON text.",
    "checkpoint": "base, sft or rl.",
    "folder": "Where the checkpoint is.",
    "key": "Hash of the training rows, the base model, the settings and the seed.",
    "trained_on": "Training rows.",
    "questions": "Questions asked.",
    "attempts": "Attempts with a verdict.",
    "right": "Right attempts.",
    "rate": "Right attempts divided by attempts.",
    "low": "Lower end of the 95 % interval.",
    "high": "Upper end of the 95 % interval.",
    "version": "Version of the search index: hash of its texts.",
    "documents": "Documents in the search index.",
}
COLUMNS: dict[str, str] = {**_QUESTION, **_ROLLOUT, **_OTHERS, **BENEFIT_COLUMNS} | {
    name: text for name, text in _QUESTION.items() if name in BENEFIT_COLUMNS
}
"""A sentence for each column of a table that an asset hands on."""
