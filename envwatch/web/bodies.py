"""How large the body of a request may be: small, but for a push by somebody who may push.

Waitress reads a body before the app sees anything of it, so it is asked here, by the header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError

BODY = 2**20  # bytes

# the path and the Authorization header of a request → how many bytes may follow
Limit = Callable[[str, str], int]


def small(path: str, authorization: str) -> int:  # noqa: ARG001  # one answer for all
    return BODY


def channel_class(limit: Limit) -> type[HTTPChannel]:
    """A channel whose requests may be as large as `limit` says, and end in one way alone."""

    class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            headers: Mapping[str, str] = self.headers
            _refuse_two_ends(headers, chunked=self.chunked)
            most = limit(self.path, headers.get("AUTHORIZATION", ""))
            if most != self.adj.max_request_body_size:
                self.adj: Any = copy(self.adj)
                self.adj.max_request_body_size = most

    class Channel(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
        parser_class = Parser

    return Channel


def _refuse_two_ends(headers: Mapping[str, str], *, chunked: bool) -> None:
    """Where a proxy takes another end for the right one, a second request hides in the body."""
    # waitress takes a coding that it follows out of the headers, and leaves one of HTTP/1.0 there
    if "TRANSFER_ENCODING" in headers or (chunked and "CONTENT_LENGTH" in headers):
        raise ParsingError("both Content-Length and Transfer-Encoding, or a coding of HTTP/1.0")
