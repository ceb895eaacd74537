"""What is known of one attempt to sign in, and what every provider can do with it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Protocol

from envwatch.access import Identity


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to a provider and back to the address `back`.

    What goes through the browser's address bar is derived from `secret`, which does not.
    """

    secret: str
    back: str

    @classmethod
    def new(cls, back: str) -> Attempt:
        return cls(secrets.token_urlsafe(32), back)

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        return self._derived("verifier")

    def _derived(self, use: str) -> str:
        made = hmac.digest(self.secret.encode(), use.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Returned:
    """What the browser brought back. `issuer` is who says to have sent it, where that is said."""

    code: str
    issuer: str = ""


class Provider(Protocol):
    """Somebody who signs people in."""

    @property
    def name(self) -> str:
        """One word, as in addresses."""
        ...

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    def leave(self, attempt: Attempt) -> str:
        """The address where somebody signs in. Raises SigninError."""
        ...

    def identify(self, attempt: Attempt, returned: Returned) -> Identity:
        """Who came back. Raises SigninError, SigninRefused."""
        ...

    def check(self) -> str:
        """In words what was found when all that can be looked at was. Raises SigninError."""
        ...
