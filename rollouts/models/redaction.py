"""Nothing secret in any text that is kept or shown: keys, passwords and tokens are cut out by one function."""

import base64
import json
import re
from urllib.parse import quote, quote_plus

SHOWN = "***"
"""What stands where a secret was."""
SHORTEST = 4
"""Characters of the shortest secret that is looked for: to cut out shorter ones would take ordinary words apart."""

_SECRETS: set[str] = set()

# What looks like a secret, whoever's it is: servers and proxies echo headers and addresses in what they say.
_HEADERS = "proxy-authorization|authorization|x-api-key|api-key|x-goog-api-key|x-auth-token|set-cookie|cookie"
_FIELDS = "api[-_]?key|access[-_]?token|auth[-_]?token|refresh[-_]?token|client[-_]?secret|secret|password|passwd|token"
_PATTERNS = (
    (
        rf"(?i)\b({_HEADERS})(\\?[\"']?\s*[:=]\s*\\?[\"']?)(?:(?:bearer|basic|token)\s+)?[^\s\"',;}}\\]+",
        rf"\1\2{SHOWN}",
    ),
    (rf"(?i)([\"']?\b(?:{_FIELDS})\\?[\"']?\s*[:=]\s*\\?[\"'])[^\"'\\]+", rf"\1{SHOWN}"),
    (rf"(?i)([?&](?:{_FIELDS}|key|sig|signature)=)[^&\s\"'<>]+", rf"\1{SHOWN}"),
    (r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=*-]{8,}", rf"\1\2{SHOWN}"),
    (r"([A-Za-z0-9+.-]{1,20}://)[^\s\"'<>]{1,500}@", rf"\1{SHOWN}@"),
    (r"\b(?:sk|gsk|xai|hf|r8|fw|nvapi|pplx|ghp|csk|dapi)[-_][A-Za-z0-9_*.-]{6,}", SHOWN),
    (r"\bAIza[A-Za-z0-9_*-]{10,}", SHOWN),
)
_LOOKS_SECRET = [(re.compile(pattern), shown) for pattern, shown in _PATTERNS]


def keep_secret(*values: str) -> None:
    """Let `redacted` cut these out from now on, in every form in which they may come back."""
    for value in values:
        for form in {value, value.strip(), *value.split()}:
            if len(form) >= SHORTEST:
                encoded = base64.b64encode(form.encode()).decode()
                _SECRETS.update((form, quote(form, safe=""), quote_plus(form), json.dumps(form)[1:-1], encoded))


def redacted(text: object) -> str:
    """The text without the secrets that are known and without what looks like one."""
    said = str(text)
    for secret in sorted(_SECRETS, key=len, reverse=True):  # a secret may begin with another
        said = said.replace(secret, SHOWN)
    for pattern, shown in _LOOKS_SECRET:
        said = pattern.sub(shown, said)
    return said
