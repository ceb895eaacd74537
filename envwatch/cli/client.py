"""`envwatch client`: what people need so that their programs see what is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from envwatch.cli.context import Options
from envwatch.cli.settings import settings_of
from envwatch.pasting import Spaces

F = TypeVar("F", bound=Callable[..., Any])


def _namespace_option(command: F) -> F:
    return click.option(
        "--namespace",
        "namespaces",
        metavar="NS",
        multiple=True,
        help="Only this one; may be given again. Not given: all that there are.",
    )(command)


@click.group("client")
def command() -> None:
    """What people need so that their programs see everything that is published."""


@command.command()
@_namespace_option
@click.pass_obj
def condarc(options: Options, namespaces: Sequence[str]) -> None:
    """Print what belongs into ~/.condarc, for `conda activate NAMESPACE-NAME`.

    Environments of one's own go on being made in the first folder.
    """
    settings = settings_of(options)
    chosen = namespaces or _all(settings.root / "envs", [n.name for n in settings.namespaces])
    click.echo(Spaces(settings.root, tuple(chosen)).condarc, nl=False)


@command.command()
@_namespace_option
@click.pass_obj
def jupyter(options: Options, namespaces: Sequence[str]) -> None:
    """Print the line for a shell's profile by which Jupyter finds the kernels."""
    settings = settings_of(options)
    chosen = namespaces or _all(settings.root / "jupyter", [n.name for n in settings.namespaces])
    if chosen:
        click.echo(Spaces(settings.root, tuple(chosen)).jupyter)


def _all(folder: Path, configured: Sequence[str]) -> list[str]:
    """The namespaces of the config, and those that have something on disk."""
    try:
        there = [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    except OSError:
        there = []
    return sorted({*configured, *there})
