"""Errors that come over a wire, made into what they were."""

from __future__ import annotations

from envwatch import errors
from envwatch.errors import EnvwatchError


def error_of(
    name: str, message: str, hint: str, *, otherwise: type[EnvwatchError] = EnvwatchError
) -> EnvwatchError:
    """The error of this name; `otherwise` where there is none."""
    kind = getattr(errors, name, otherwise)
    if not (isinstance(kind, type) and issubclass(kind, EnvwatchError)):
        kind = otherwise
    return kind(message, hint=hint)
