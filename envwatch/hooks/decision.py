"""What becomes of a delivery."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus


class Decision(StrEnum):
    """`another branch` is a ref that the source does not follow: it counts as a poll.

    `not checked` and `no hook` are told as `refused`: who has no secret learns of no source.
    """

    WOKEN = "woken"
    ELSEWHERE = "another branch"
    PING = "ping"
    SEEN = "seen already"
    REFUSED = "refused"
    TOO_LARGE = "too large"
    FLOODED = "flooded"
    UNCHECKED = "not checked"
    NO_HOOK = "no hook"

    @property
    def status(self) -> HTTPStatus:
        return _STATUS.get(self, HTTPStatus.ACCEPTED)


_STATUS = {
    Decision.REFUSED: HTTPStatus.UNAUTHORIZED,
    Decision.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Decision.FLOODED: HTTPStatus.TOO_MANY_REQUESTS,
    Decision.UNCHECKED: HTTPStatus.UNAUTHORIZED,
    Decision.NO_HOOK: HTTPStatus.UNAUTHORIZED,
}
