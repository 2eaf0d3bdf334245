"""What an endpoint says it serves (GET /models), and the identity of a model that others run."""

from typing import Any

import httpx

from records.identity import content_hash
from rollouts.models.contract import ModelUnavailable
from rollouts.models.replies import what_it_said


async def served_names(client: httpx.AsyncClient, url: str) -> str:
    """The names that the endpoint serves models under, in words, or why they are not known."""
    try:
        listed = (await client.get(f"{url}/models", timeout=10)).json()["data"]
        return f"it serves: {', '.join(sorted(str(model['id']) for model in listed))}"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "it does not list what it serves (GET /models), so the url may lack /v1"


def remote_fingerprint(url: str, model: str, revision: str = "", api_key: str | None = None) -> str:
    """Identity of a model behind a URL that others run.

    With a revision it is the name and the revision, and the endpoint is not asked. Without one it is the name and what
    GET /models says about the name (vLLM and SGLang give `root`, the weights' path or hub id); where it says
    nothing, a change of the weights behind the name cannot be seen.

    Raises:
        ModelUnavailable: there is no revision, and the endpoint cannot be reached or refuses the key.
    """
    if revision:
        return content_hash({"model": model, "revision": revision})
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        response = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelUnavailable(f"{url}: cannot be reached to ask what it serves: {error}") from None
    if response.status_code in (401, 403, 429) or response.status_code >= 500:
        raise ModelUnavailable(f"{url}: HTTP {response.status_code} to GET /models: {what_it_said(response)}")
    says: dict[str, Any] = {}
    try:
        for entry in response.json()["data"]:
            if entry["id"] == model:
                says = {key: entry[key] for key in ("root", "parent") if isinstance(entry.get(key), str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # such an endpoint has no list of models
    return content_hash({"model": model, "says": says})
