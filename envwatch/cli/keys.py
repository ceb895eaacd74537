"""Environments and generations as arguments of commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from envwatch.cli.names import environments
from envwatch.config.words import Wrong, read_duration
from envwatch.model import EnvKey

F = TypeVar("F", bound=Callable[..., Any])

GENERATION = click.IntRange(min=1)


def _key(ctx: click.Context, param: click.Parameter, value: str | None) -> EnvKey | None:
    return None if value is None else to_key(value, ctx, param)


def to_key(
    value: str, ctx: click.Context | None = None, param: click.Parameter | None = None
) -> EnvKey:
    """`namespace/name` → key."""
    namespace, _, name = value.partition("/")
    if not namespace or not name or "/" in name or {namespace, name} & {".", ".."}:
        raise click.BadParameter(f"`{value}` is not namespace/name", ctx, param)
    return EnvKey(namespace, name)


def key_argument(command: F) -> F:
    """Adds the argument KEY, an environment."""
    return click.argument("key", callback=_key, shell_complete=environments)(command)


def optional_key_argument(command: F) -> F:
    """Adds the argument KEY, an environment or None for all of them."""
    return click.argument("key", callback=_key, required=False, shell_complete=environments)(
        command
    )


def number_argument(command: F, *, required: bool = False) -> F:
    """Adds the argument N, a generation."""
    metavar = "N" if required else "[N]"
    return click.argument("number", metavar=metavar, type=GENERATION, required=required)(command)


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """`10m` → seconds."""
    try:
        return None if value is None else read_duration(value)
    except Wrong as e:
        raise click.BadParameter(f"{e.problem}: {e.hint}", ctx, param) from e


def wait_option(command: F) -> F:
    return click.option(
        "--wait", is_flag=True, help="Wait until it is over; exit with 1 if it fails."
    )(command)
