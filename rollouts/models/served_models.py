"""What an endpoint says it serves (GET /models), and the identity of a model that others run."""

from typing import Any

import httpx

from records.identity import content_hash
from rollouts.models.addresses import Address, read_address, understandable
from rollouts.models.contract import ModelUnavailable
from rollouts.models.error_bodies import what_it_said
from rollouts.models.redaction import redacted

_CONTEXT = (
    "max_model_len", "context_length", "context_window", "max_context_length", "max_context_window", "max_seq_len",
    "n_ctx", "max_input_tokens", "loaded_context_length",
)  # fmt: skip
"""Under which names servers list how many tokens a model's context has."""


async def served_names(client: httpx.AsyncClient, url: str) -> str:
    """The names that the endpoint serves models under, in words, or why they are not known."""
    try:
        listed = (await client.get(f"{url}/models", timeout=10)).json()["data"]
        return redacted(f"it serves: {', '.join(sorted(str(model['id']) for model in listed))}")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "it does not list what it serves (GET /models), so the url may lack /v1"


def remote_fingerprint(url: str, model: str, revision: str = "", api_key: str | None = None) -> str:
    """Identity of a model behind a URL that others run.

    With a revision it is the name and the revision, and the endpoint is not asked. Without one it is the name and what
    GET /models says about the name (vLLM and SGLang give `root`, the weights' path or hub id); where it says
    nothing, a change of the weights behind the name cannot be seen.

    Raises:
        ModelUnavailable: there is no revision, and the endpoint cannot be reached or refuses the key.
        AddressError: there is no revision, and the url or the key cannot be used as it is.
    """
    if revision:
        return content_hash({"model": model, "revision": revision})
    entry = _entry(read_address(url, api_key), model)
    says = {key: entry[key] for key in ("root", "parent") if isinstance(entry.get(key), str)}
    return content_hash({"model": model, "says": says})


def served_context(address: Address, model: str) -> int | None:
    """How many tokens the model's context has at this endpoint; None where it does not say."""
    try:
        entry = _entry(address, model)
    except ModelUnavailable:
        return None
    places = [place for place in (entry, entry.get("meta"), entry.get("top_provider")) if isinstance(place, dict)]
    for place in places:
        for name in _CONTEXT:
            value = place.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _entry(address: Address, model: str) -> dict[str, Any]:
    """What the endpoint lists about the model; nothing where it has no such list, or not this model in it.

    Raises:
        ModelUnavailable: it cannot be reached or refuses the key.
    """
    headers = {"Authorization": address.authorization} if address.authorization else {}
    with understandable():
        client = httpx.Client(headers=headers, timeout=30)
    try:
        with client:
            response = client.get(f"{address.url}/models")
    except (httpx.HTTPError, httpx.InvalidURL, OverflowError) as error:
        raise ModelUnavailable(
            f"{address.url}: cannot be reached to ask what it serves: {redacted(error) or type(error).__name__}"
        ) from None
    if response.status_code in (401, 403, 429) or response.status_code >= 500:
        raise ModelUnavailable(f"{address.url}: HTTP {response.status_code} to GET /models: {what_it_said(response)}")
    try:
        listed = [entry for entry in response.json()["data"] if entry["id"] == model]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # such an endpoint has no list of models
    return next((entry for entry in listed if isinstance(entry, dict)), {})
