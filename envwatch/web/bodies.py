"""How large the body of a request may be: small, but for a push by somebody who may push.

Waitress reads a body before the app sees anything of it, so it is asked here, by the header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser

BODY = 2**20  # bytes

# the path and the Authorization header of a request → how many bytes may follow
Limit = Callable[[str, str], int]


def small(path: str, authorization: str) -> int:  # noqa: ARG001  # one answer for all
    return BODY


def channel_class(limit: Limit) -> type[HTTPChannel]:
    """A channel whose requests may be as large as `limit` says."""

    class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            headers: Mapping[str, str] = self.headers
            most = limit(self.path, headers.get("AUTHORIZATION", ""))
            if most != self.adj.max_request_body_size:
                self.adj: Any = copy(self.adj)
                self.adj.max_request_body_size = most

    class Channel(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
        parser_class = Parser

    return Channel
