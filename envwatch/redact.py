"""Takes secrets out of text that is shown or kept: credentials in URLs, tokens, headers."""

from __future__ import annotations

import re

MASK = "***"

# A git user before the host of an ssh address is a name, not a secret: it stays when no
# password follows. Over http a lone user is as often a token.
_USER_AND_PASSWORD = re.compile(
    r"(?P<keep>[a-z][a-z0-9+.-]{0,20}://)[^\s/?#@:]*:[^\s/?#]*@", re.IGNORECASE
)
_USER_OVER_HTTP = re.compile(r"(?P<keep>https?://)[^\s/?#@]+@", re.IGNORECASE)
# The lengths are bounded so that one long line costs linear time.
_CONDA_TOKEN = re.compile(r"(?P<keep>://[^\s?#]{1,300}?/t/)[^\s/?#\"'`]+")
_PARAMETER = re.compile(
    r"(?P<keep>\b[\w.-]{0,40}(?:token|password|passwd|secret|api[_-]?key|signature)=)[^\s&\"'`]+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<keep>authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:(?:bearer|basic|token|digest)\s+)?)[^\s\"',`]+",
    re.IGNORECASE,
)
_KNOWN_TOKEN = re.compile(r"(?P<keep>\b(?:gh[opsu]|github_pat|glpat|ewt|xox[abp])[_-])[\w-]{10,}")
# ours: 64 digits and 8 more that check them. Names of metrics and options look similar.
_OWN_TOKEN = re.compile(r"(?P<keep>\benvwatch_)[0-9a-f]{20,}")

_RULES = (
    _USER_AND_PASSWORD,
    _USER_OVER_HTTP,
    _CONDA_TOKEN,
    _PARAMETER,
    _HEADER,
    _KNOWN_TOKEN,
    _OWN_TOKEN,
)
_AT_SIGN = (_USER_AND_PASSWORD, _USER_OVER_HTTP)


def redact(text: str) -> str:
    """The text with every secret that can be recognised replaced by `***`."""
    for rule in _RULES:
        text = rule.sub(rf"\g<keep>{MASK}@" if rule in _AT_SIGN else rf"\g<keep>{MASK}", text)
    return text


def has_credentials(url: str) -> bool:
    """Does this address carry a user, a password or a token?"""
    return redact(url) != url
