"""Why a reply ended, in the words of the usual servers and in ours.

The loop knows five reasons: `stop` (the model ended its turn, or a stop string did), `length` (the tokens that it was
allowed, or the server's context, were used up), `tool_calls`, `filtered` (the server's rules of content kept the reply
back: no attempt) and `aborted` (the server gave up on it: asked again). A word that is not in the table stops the run,
because to guess would turn cut thoughts into wrong answers, or answers into none.
"""

from collections.abc import Mapping
from typing import Literal, get_args

FinishReason = Literal["stop", "length", "tool_calls", "filtered", "aborted"]
FINISH_REASONS: tuple[FinishReason, ...] = get_args(FinishReason)

# Words are compared without case, and with _ for a blank or hyphen. OpenAI, vLLM and SGLang (stop, length, abort), TGI
# (eos_token), llama.cpp (eos, limit), Anthropic (end_turn …), Gemini (in capitals in its documentation), Mistral
# (model_length), Cohere (complete …), Bedrock (finish, guardrail_intervened …), watsonx (time_limit …), Zhipu
# (sensitive, network_error), DeepSeek (insufficient_system_resource), LiteLLM (all of them).
_WORDS: dict[FinishReason, str] = {
    "stop": """
        stop stopped eos eos_token end_token end_id end_of_text endoftext end_of_turn end_turn end stop_sequence
        stop_sequences stop_sequence_reached stop_str stop_string stop_strings stop_word stop_words stop_token
        stop_tokens stop_token_id complete completed finish finished done success normal natural
        malformed_function_call unexpected_tool_call malformed_response malformed_model_output malformed_tool_use
        too_many_tool_calls missing_thought_signature
    """,  # the last seven: the model botched a call, and the server kept it back: the model's doing
    "length": """
        length limit length_limit max_length max_tokens max_new_tokens max_completion_tokens max_output_tokens
        max_output token_limit model_length model_context_window_exceeded context_length context_length_exceeded
        context_window_exceeded max_model_len truncated repetition
    """,
    "tool_calls": "tool_calls tool_call tool_use tool_uses function_call function_calls functioncall",
    "filtered": """
        filtered content_filter content_filtered content_filtering refusal refused safety moderation moderated flagged
        recitation blocklist prohibited_content spii sensitive language escalation guardrail guardrail_intervened
        guardrails error_toxic image_safety image_prohibited_content image_recitation image_other no_image
        content_policy_violation content_policy
    """,
    "aborted": """
        aborted abort error other timeout timed_out time_limit cancelled canceled cancel user_cancel error_limit
        not_finished network_error insufficient_system_resource pause_turn paused interrupted failed server_error
        preempted compaction
    """,
}
_TABLE: dict[str, FinishReason] = {word: reason for reason, words in _WORDS.items() for word in words.split()}
_UNSAID = ("", "null", "none", "unknown", "unspecified", "finish_reason_unspecified")


class UnknownFinishReason(ValueError):
    """A server ended a reply for a reason that is not in the table."""


def said_reason(word: object, further: Mapping[str, FinishReason] | None = None) -> FinishReason | None:
    """The reason that a server's word stands for; None where it says none.

    Args:
        further: what further words of this server mean, or the known ones where it means something else by them.

    Raises:
        UnknownFinishReason: the word is in no table; its text is the word.
    """
    if word is None:
        return None
    if isinstance(word, dict):  # SGLang's own API: {"type": "stop", "matched": …}
        word = word.get("type")
    name = _plain(word)
    for given, meaning in (further or {}).items():
        if _plain(given) == name:
            return meaning
    if name in _UNSAID:
        return None
    if name not in _TABLE:
        raise UnknownFinishReason(str(word)[:100])
    return _TABLE[name]


def _plain(word: object) -> str:
    """The word as it stands in the table; some gateways send it as the name of an enumeration (FinishReason.STOP)."""
    return str(word).strip().rpartition(".")[2].lower().replace("-", "_").replace(" ", "_")


def unsaid_reason(text: str, has_calls: bool, written: int | None, max_tokens: int) -> FinishReason:
    """The reason of a reply whose server says none.

    llama.cpp and older gateways leave the reason out of whole replies, so one with a text is whole, unless the server
    counted as many tokens as were allowed. One with nothing in it was given up by the server.

    Args:
        written: how many tokens the server counted, if it did.
    """
    if written is not None and written >= max_tokens:
        return "length"
    if has_calls:
        return "tool_calls"
    return "stop" if text else "aborted"
