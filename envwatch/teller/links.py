"""Where a link in a status or a notice leads. None where nobody said what people see."""

from __future__ import annotations

from urllib.parse import quote

from envwatch.model import EnvKey
from envwatch.settings import Settings


def env_url(settings: Settings, key: EnvKey, build: int | None = None) -> str:
    """The page of an environment, or of one build of it."""
    if not settings.web.url:
        # the address that is listened on is nobody's but this machine's
        return ""
    page = f"{settings.web.address}/{quote(key.namespace)}/{quote(key.name)}/"
    return f"{page}builds/{build}" if build else page


def source_url(settings: Settings, name: str) -> str:
    return f"{settings.web.address}/source?name={quote(name)}" if settings.web.url else ""
