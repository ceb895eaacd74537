"""Answers below the path of `web.url` too: some proxies leave it on, and programs pass them by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from envwatch.web.bodies import Limit

App = Callable[..., Any]


def path_of(url: str) -> str:
    """`/conda-store` of `https://hub.example.org/conda-store/`; empty for a whole host."""
    return urlsplit(url).path.rstrip("/")


@dataclass(frozen=True, slots=True)
class Mounted:
    app: App
    path: str

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        # a proxy that took the path off, and says so, has set it already
        if not environ.get("SCRIPT_NAME"):
            whole = environ.get("PATH_INFO", "")
            rest = _below(self.path, whole)
            if rest != whole:
                environ = environ | {"SCRIPT_NAME": self.path, "PATH_INFO": rest}
        return self.app(environ, start)

    def limit(self, limit: Limit) -> Limit:
        """The limits of bodies, for paths as they come."""
        return lambda path, authorization: limit(_below(self.path, path), authorization)


def _below(path: str, whole: str) -> str:
    return whole.removeprefix(path) if whole.startswith(f"{path}/") else whole
