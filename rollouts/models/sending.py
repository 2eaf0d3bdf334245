"""One HTTP request for a completion: what it brought, or how it failed."""

import asyncio
from typing import Any

import httpx

from rollouts.models.connections import Connections
from rollouts.models.redaction import redacted
from rollouts.models.replies import EndpointRefused, RetryLater, received

_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


async def send(
    here: Connections, url: str, body: dict[str, Any], headers: dict[str, str], timeout_s: float
) -> httpx.Response:
    """The response, its body in memory.

    Raises:
        RetryLater: there was none in time (`timeout`), or the connection failed (`connection`).
        EndpointRefused: the url, the proxy or the server's certificate cannot be used.
    """
    try:
        # httpx restarts its time-out with every chunk; a server that trickles must not occupy the slot for ever.
        async with asyncio.timeout(timeout_s) as deadline:
            here.deadlines.add(deadline)
            try:
                async with here.client.stream("POST", f"{url}/chat/completions", json=body, headers=headers) as reply:
                    return await received(reply)
            finally:
                here.deadlines.remove(deadline)
    except (TimeoutError, httpx.TimeoutException):
        raise RetryLater("timeout", f"no reply within {timeout_s} s", overloaded=True) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, OverflowError, UnicodeError) as error:
        raise EndpointRefused(f"{redacted(error)}: give a URL such as http://host:8000/v1", 0) from None
    except httpx.ProxyError as error:
        raise RetryLater("connection", f"the proxy that the environment names failed: {redacted(error)}") from None
    except httpx.HTTPError as error:
        if _CERTIFICATE in str(error):
            raise EndpointRefused(
                f"{redacted(error)}: the server's certificate is signed by nobody that is known here: let "
                "SSL_CERT_FILE name a file with its authority's certificate", 0,
            ) from None  # fmt: skip
        raise RetryLater("connection", f"{type(error).__name__}: {redacted(error)}") from None
