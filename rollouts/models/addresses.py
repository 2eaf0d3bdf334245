"""Where an endpoint is and how it is reached: its url, its key, and the proxy and certificates of the environment.

What is wrong with one of them is said in a sentence that names what to change, and never shows a key or a password.
"""

import base64
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import httpx

from rollouts.models.contract import ModelOutage
from rollouts.models.redaction import keep_secret, redacted

EXAMPLE = "http://host:8000/v1"
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


class AddressError(ValueError):
    """A url or a key that cannot be used as it is; the message says what to change and shows no secret."""


@dataclass(frozen=True)
class Address:
    """The base of an API, without user and password."""

    url: str
    authorization: str = ""
    """The header by which the key, or the user and the password of the url, are sent; "" without."""


def read_address(url: str, api_key: str | None = None) -> Address:
    """Read the base of an API, and the key to it.

    Raises:
        AddressError: one of them cannot be used.
    """
    base, user = _base(url)
    if api_key is not None:
        return Address(base, f"Bearer {_key(api_key)}")
    if not user:
        return Address(base)
    encoded = base64.b64encode(unquote(user).encode()).decode()
    keep_secret(encoded)
    return Address(base, f"Basic {encoded}")


def _base(url: str) -> tuple[str, str]:
    """The url without its user and password, and these as they stand in it."""
    scheme, divider, rest = url.strip().partition("://")
    if not divider or scheme.lower() not in ("http", "https"):
        raise AddressError(f"the url has no http:// or https:// in front: give one such as {EXAMPLE}")
    place, slash, path = rest.partition("/")
    user, _, place = place.rpartition("@")
    keep_secret(*(part for text in (user, unquote(user)) for part in (text, *text.split(":", 1))))
    if "@" in path or re.search(r"[?#]", user):
        keep_secret(*rest.rpartition("@")[0].split(":", 1))
        raise AddressError(
            "the url holds an @ that does not end a user and a password: percent-encode them (/ is %2F, # is %23), or "
            "leave them out and give a key through api_key_env"
        )
    clean = f"{scheme.lower()}://{place}{slash}{path}"
    try:
        split = urlsplit(clean)
        usable = bool(split.hostname) and not re.search(r"[\s\\]", clean) and split.port != 0
    except ValueError as error:  # a port beyond 65535, or brackets that do not close
        raise AddressError(f"the url cannot be used: {redacted(error)}: give one such as {EXAMPLE}") from None
    if not usable:
        raise AddressError(f"the url names no host or no port that can be: give one such as {EXAMPLE}")
    if split.query or split.fragment:
        raise AddressError(f"the url goes on after its path: give the base alone, such as {EXAMPLE}")
    return clean.rstrip("/").removesuffix("/chat/completions"), user


def _key(key: str) -> str:
    """The key as it is sent: without the blanks, line breaks and quotes around it, or the word Bearer in front."""
    keep_secret(key)
    kept = key.strip().strip("\"'").strip()
    kept = re.sub(r"(?i)^bearer\s+", "", kept)
    keep_secret(kept)
    if not re.fullmatch(r"[!-~]+", kept):
        raise AddressError("the key is empty or holds blanks, line breaks or letters that none has: give the key alone")
    return kept


@contextmanager
def understandable(environment: bool = True) -> Iterator[None]:
    """Turns what the environment's proxy and certificates raise into a ModelOutage that says what to change.

    Args:
        environment: whether they are used at all.
    """
    try:
        for proxy in getproxies().values() if environment else ():
            _ = urlsplit(proxy).port  # one beyond 65535 would come up with the first request, in words of asyncio
        yield
    except ImportError:
        raise ModelOutage(
            f"{_proxy_variables()} names a SOCKS proxy, for which a package is missing: install httpx[socks], name an "
            "http:// proxy, or name the endpoint's host in NO_PROXY",
            "connection",
        ) from None
    except (OSError, ssl.SSLError) as error:
        given = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        named = [name for name in given if not os.path.exists(os.environ[name])] or given
        reason = redacted(error.strerror or error) if isinstance(error, OSError) else redacted(error)
        raise ModelOutage(
            f"the certificates that {' or '.join(named) or 'this Python'} names cannot be read ({reason}): let the "
            "variable name a file of certificates in PEM form, or unset it",
            "connection",
        ) from None
    except (ValueError, httpx.InvalidURL):
        # their words would show the proxy's password
        raise ModelOutage(
            f"{_proxy_variables()} names a proxy whose url cannot be used: give one such as http://host:3128, or name "
            "the endpoint's host in NO_PROXY",
            "connection",
        ) from None


def _proxy_variables() -> str:
    named = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    return " or ".join(named) or "the environment"
