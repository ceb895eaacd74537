"""Commands that look at environments: they read the catalog, and change nothing."""

from __future__ import annotations

from collections.abc import Mapping

import click

from envwatch import artifacts
from envwatch.catalog import Catalog
from envwatch.cli.context import Options
from envwatch.cli.keys import key_argument, number_argument
from envwatch.cli.output import json_option, print_json, print_table, safe
from envwatch.cli.reading import reading
from envwatch.cli.story import print_facts, print_story, reasons, story
from envwatch.cli.words import (
    commit_text,
    diff_count,
    diff_lines,
    failure_line,
    short,
    took,
    when,
)
from envwatch.cli.words import (
    number as numbered,
)
from envwatch.diff import LineKind
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArtifactKind, EnvKey
from envwatch.storage.filesystem import FilesystemStorage
from envwatch.store import Store
from envwatch.units import size
from envwatch.views import environments, pages
from envwatch.views.values import DiffPage, EnvironmentPage, EnvRow

STATES = ("ready", "building", "failed", "missing", "invalid", "attention", "preview")
AT_ONCE = 500  # rows asked of the catalog in one go
SIGNS = {LineKind.SAME: " ", LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.GAP: "…"}


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Retired ones too.")
@click.option("--namespace", default="", metavar="NS", help="Only those of one namespace.")
@click.option("--state", type=click.Choice(STATES), help="Only those in one state.")
@click.option("--label", default="", metavar="NAME[=VALUE]", help="Only those with a label.")
@json_option
@click.pass_obj
def listed(
    options: Options,
    everything: bool,
    namespace: str,
    state: str | None,
    label: str,
    as_json: bool,
) -> None:
    """List environments, those that need attention first."""
    chosen = {"namespace": namespace, "state": state or "", "label": label}
    with reading(options) as (catalog, _):
        rows = _rows(catalog, chosen, retired=False)
        rows += _rows(catalog, chosen, retired=True) if everything else []
    if as_json:
        print_json(rows)
        return
    print_table(
        ("environment", "git", "env", "what", "size", "changed"),
        [_row(r) for r in rows],
        styles=["dim" if r.retired_at else "yellow" if r.attention else "" for r in rows],
    )


@click.command()
@key_argument
@json_option
@click.pass_obj
def show(options: Options, key: EnvKey, as_json: bool) -> None:
    """Show one environment: what is asked for, what is current, what is installed."""
    with reading(options) as (catalog, store):
        page = pages.environment(catalog, key)
    if as_json:
        print_json(page)
        return
    print_facts(_facts(page, store))
    for message in page.spec_messages:
        click.echo(safe(str(message)))
    click.echo()
    _print_generations(page)
    click.echo()
    print_table(
        ("package", "version", "build", "from", "asked for"),
        [
            (p.name, p.version, p.build, p.channel or p.manager, "yes" if p.requested else "")
            for p in page.packages
        ],
    )


@click.command()
@key_argument
@json_option
@click.pass_obj
def log(options: Options, key: EnvKey, as_json: bool) -> None:
    """Tell its story, newest first: commits, builds, generations, changes of packages."""
    with reading(options) as (catalog, _):
        moments = story(catalog, key)
    print_story(moments, as_json=as_json)


@click.command()
@key_argument
@json_option
@click.pass_obj
def why(options: Options, key: EnvKey, as_json: bool) -> None:
    """Say why it was, or was not, built again."""
    with reading(options) as (catalog, _):
        said = reasons(pages.environment(catalog, key))
    if as_json:
        print_json(said)
        return
    for line in said:
        click.echo(safe(line))


@click.command()
@key_argument
@click.argument("old", metavar="[A]", type=click.IntRange(min=1), required=False)
@click.argument("new", metavar="[B]", type=click.IntRange(min=1), required=False)
@json_option
@click.pass_obj
def diff(options: Options, key: EnvKey, old: int | None, new: int | None, as_json: bool) -> None:
    """Compare two generations: file and packages.

    Without B the current one, without A the one before that.
    """
    with reading(options) as (catalog, _):
        page = _compare(catalog, key, old, new)
    if as_json:
        print_json({"key": key, "old": page.old.number, "new": page.new.number,
                    "spec": page.spec, "packages": page.packages})  # fmt: skip
        return
    click.echo(f"{key} #{page.old.number} → #{page.new.number}")
    for kind, line in page.spec:
        click.echo(f"{SIGNS[kind]} {safe(line)}".rstrip())
    changes = [f"  {safe(line)}" for line in diff_lines(page.packages)]
    click.echo("\n".join(["packages:", *changes] if changes else ["packages: no change"]))


@click.command()
@key_argument
@number_argument
@click.pass_obj
def lock(options: Options, key: EnvKey, number: int | None) -> None:
    """Print the conda-lock.yml of the current generation, or of N."""
    with reading(options) as (catalog, store):
        chosen = catalog.generations.get(key, number or _current(catalog, key)).number
    storage = FilesystemStorage(store.root / "artifacts")
    place = artifacts.storage_key(ArtifactKind.LOCK, key, chosen)
    with storage.open(place) as file:
        click.echo(file.read(), nl=False)


def _rows(catalog: Catalog, chosen: Mapping[str, str], *, retired: bool) -> list[EnvRow]:
    found: list[EnvRow] = []
    page = pages_there = 1
    while page <= pages_there:
        listing = environments.listing(
            catalog.database,
            namespace=chosen["namespace"],
            state=chosen["state"],
            label=chosen["label"],
            retired=retired,
            page=page,
            size=AT_ONCE,
        )
        found += listing.rows
        page, pages_there = page + 1, listing.pages
    return found


def _row(row: EnvRow) -> tuple[str, ...]:
    said = f"retired {when(row.retired_at)}" if row.retired_at else row.sentence
    return (
        str(row.key),
        row.git,
        row.env,
        said,
        size(row.size) if row.size else "-",
        when(row.changed_at),
    )


def _facts(page: EnvironmentPage, store: Store) -> tuple[tuple[str, str], ...]:
    row, made = page.row, page.generation
    said = page.commit
    asked = f"{row.source} {row.path} at {short(page.record.revision)}"
    failure = row.failure
    return (
        ("environment", str(row.key)),
        ("description", row.description),
        ("labels", ", ".join(f"{name}={value}" for name, value in row.labels)),
        ("git", row.git),
        ("env", f"{row.env}: {row.sentence}"),
        ("retired", when(row.retired_at) if row.retired_at else ""),
        ("asked for by", asked),
        ("made of", ", ".join(page.layers)),
        ("commit", commit_text(said)),
        ("refused", str(row.invalid) if row.invalid else ""),
        ("failed", failure_line(failure, row.path) if failure else ""),
        ("damaged", row.damaged),
        ("link", str(store.link(row.key)) if made and not row.retired_at else ""),
        ("prefix", str(made.prefix) if made else ""),
        ("python", made.python if made else ""),
        ("size", size(made.size) if made else ""),
        ("kernels", ", ".join(k.name for k in made.kernels) if made else ""),
        ("archive", made.archive if made else ""),
        *_wished(page),
    )


def _wished(page: EnvironmentPage) -> tuple[tuple[str, str], ...]:
    """What an `envwatch.yml` asks for."""
    wished = page.record.wishes
    if wished is None:
        return ()
    kept = (("last", wished.keep_last), ("days", wished.keep_days))
    return (
        ("shown as", wished.kernel),
        ("kept", ", ".join(f"{name} {n:g}" for name, n in kept if n is not None)),
        ("updated", wished.update),
    )


def _print_generations(page: EnvironmentPage) -> None:
    rows = [
        (
            f"{'*' if g.current else ' '}{numbered(g.generation.number)}",
            when(g.generation.published_at),
            g.generation.reason,
            short(g.generation.revision),
            diff_count(g.diff),
            size(g.generation.size),
            took(g.seconds),
            _marks(g.generation.pinned, g.generation.pruned_at is not None, g.generation.damaged),
        )
        for g in page.generations
    ]
    titles = ("generation", "published", "why", "commit", "packages", "size", "took", "")
    print_table(titles, rows)


def _marks(pinned: bool, pruned: bool, damaged: str) -> str:  # three marks
    marks = (("pinned", pinned), ("pruned", pruned), ("damaged", bool(damaged)))
    return ", ".join(word for word, holds in marks if holds)


def _compare(catalog: Catalog, key: EnvKey, old: int | None, new: int | None) -> DiffPage:
    second = new or _current(catalog, key)
    first = old or second - 1
    if not first:
        raise Conflict(f"{key}: #{second} is the first generation", hint="name two of them")
    return pages.compare(catalog, key, first, second)


def _current(catalog: Catalog, key: EnvKey) -> int:
    current = catalog.generations.environment(key).current
    if current is None:
        raise NotFound(f"{key}: nothing is published yet", hint=f"see `envwatch env show {key}`")
    return current
