"""Previews of requests to merge: each beside its target, and all of one target."""

from __future__ import annotations

from sqlalchemy import Connection, select

from envwatch import diff
from envwatch.catalog import rows, schema
from envwatch.catalog.packages import Lists
from envwatch.catalog.previews import change, current_of
from envwatch.catalog.records import EnvironmentRecord
from envwatch.diff import LineKind
from envwatch.model import BuildState, EnvKey
from envwatch.views.environments import env_rows
from envwatch.views.values import PreviewPart, PreviewRow

ENV = schema.environment.c
BUILD = schema.build.c
SOURCE = schema.source.c


def part(c: Connection, env: EnvironmentRecord, lists: Lists) -> PreviewPart | None:
    """What a preview is held against; None for what is none."""
    if not env.preview_of:
        return None
    current = current_of(c, env.target)
    said = c.execute(select(schema.source).where(SOURCE.name == env.source)).first()
    return PreviewPart(
        target=env.target,
        against=current.number if current else None,
        diff=change(lists, current, chosen(c, env)),
        spec=_lines(c, env),
        request=said.ref if said and said.ref else env.source,
        title=said.title if said else "",
        link=said.link if said else "",
    )


def _lines(c: Connection, env: EnvironmentRecord) -> tuple[tuple[LineKind, str], ...]:
    SPEC = schema.spec.c  # noqa: N806  # the columns, as above
    target = (ENV.namespace == env.target.namespace) & (ENV.name == env.target.name)
    old = select(SPEC.text).join_from(schema.environment, schema.spec).where(target)
    new = select(SPEC.text).where(SPEC.id == env.spec_id)
    return diff.lines(c.execute(old).scalar() or "", c.execute(new).scalar_one())


def chosen(c: Connection, env: EnvironmentRecord) -> str:
    """The digest of the lock that its newest finished build has, empty for none."""
    query = (
        select(BUILD.lock_digest)
        .where(BUILD.environment_id == env.id, BUILD.state == BuildState.READY)
        .order_by(BUILD.id.desc())
        .limit(1)
    )
    return c.execute(query).scalar() or ""


def on(c: Connection, target: EnvKey, lists: Lists) -> tuple[PreviewRow, ...]:
    """The previews of an environment, the newest change first."""
    query = rows.environments.where(
        ENV.namespace == target.namespace,
        ENV.preview_of == target.name,
        ENV.retired_at.is_(None),
    ).order_by(ENV.changed_at.desc(), ENV.id)
    found = [rows.environment(r) for r in c.execute(query)]
    listed = env_rows(c, [env.id for env in found])
    parts = [part(c, env, lists) for env in found]
    return tuple(PreviewRow(row, p) for row, p in zip(listed, parts, strict=True) if p)
