"""What a plan asks for, written down: each environment, its text, and the build that it needs."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, insert, select, update

from envwatch.catalog import labels, rows, schema
from envwatch.catalog.builds import enqueue, supersede
from envwatch.catalog.choosing import adopt
from envwatch.catalog.events import note
from envwatch.catalog.records import EnvironmentRecord
from envwatch.catalog.schema import Mode, Reason
from envwatch.model import Ask, BuildState, Composition, EnvKey, Plan, Wishes

COMPOSITION = TypeAdapter(Composition)
BUILD = schema.build.c
ENV = schema.environment.c
GENERATION = schema.generation.c


def spec_digest(text: str, lock_text: str, composition: Composition | None = None) -> str:
    """Names a text, the lock beside it and what else is said: equal ones are kept once."""
    whole = f"{text}\0{lock_text}".encode()
    if composition is not None:
        whole += b"\0" + COMPOSITION.dump_json(composition)
    return hashlib.sha256(whole).hexdigest()


def keep_spec(c: Connection, ask: Ask) -> int:
    """The row of this text and lock; equal ones are kept once, with what there is to say now."""
    composition = ask.composition if ask.composition != Composition() else None
    digest = spec_digest(ask.text, ask.lock_text, composition)
    SPEC = schema.spec.c  # noqa: N806  # the columns, as above
    messages = (*ask.spec.messages, *ask.messages)
    found = c.execute(select(SPEC.id, SPEC.messages).where(SPEC.digest == digest)).first()
    if found is not None:
        if found.messages != messages:
            c.execute(update(schema.spec).where(SPEC.id == found.id).values(messages=messages))
        return int(found.id)
    values = {
        "digest": digest,
        "text": ask.text,
        "lock_text": ask.lock_text,
        "messages": messages,
        "composition": composition,
    }
    return int(c.execute(insert(schema.spec).values(**values).returning(SPEC.id)).scalar_one())


def take(c: Connection, plan: Plan, ask: Ask, now: datetime) -> int:
    """Note what is asked for now and queue the build that it needs, if it needs one."""
    spec_id = keep_spec(c, ask)
    row = c.execute(
        rows.environments.where(ENV.namespace == ask.key.namespace, ENV.name == ask.key.name)
    ).first()
    values = _said(plan, ask, spec_id) | {
        "asked_digest": ask.digest,
        "revision": plan.revision,
        "asked_at": now,
        "changed_at": now,
    }
    if row is None:
        added = insert(schema.environment).values(
            namespace=ask.key.namespace, name=ask.key.name, ask=1, created_at=now, **values
        )
        environment_id = int(c.execute(added.returning(ENV.id)).scalar_one())
        restored = False
    else:
        environment_id = row.id
        restored = row.retired_at is not None
        c.execute(
            update(schema.environment)
            .where(ENV.id == environment_id)
            .values(ask=ENV.ask + 1, **values)
        )
    labels.keep(c, environment_id, ask.wishes.labels)
    supersede(c, environment_id, now)
    if ask.lock_text:
        adopt(c, environment_id, ask.digest, ask.lock_text, now)
    _queue(c, environment_id, restored=restored, now=now)
    return environment_id


def _said(plan: Plan, ask: Ask, spec_id: int) -> dict[str, Any]:
    """What a file says of its environment, whether or not that needs a build."""
    return {
        "source": plan.source,
        "path": ask.path,
        "description": ask.spec.description,
        "spec_id": spec_id,
        "invalid": None,
        "retired_at": None,
        "wishes": ask.wishes if ask.wishes != Wishes() else None,
        "lock_path": ask.lock_path,
        "preview_of": ask.preview.of if ask.preview else "",
        "solve_only": ask.preview is not None and not ask.preview.install,
    }


def _queue(c: Connection, environment_id: int, *, restored: bool, now: datetime) -> None:
    """Queue what the asked-for digest needs: nothing, an old generation again, or a solve."""
    env = rows.environment(c.execute(rows.environments.where(ENV.id == environment_id)).one())
    if env.solve_only:
        if not _is_solved(c, env):
            enqueue(c, env, Mode.SOLVE, Reason.COMMIT, now=now)
        return
    # a candidate that nobody took is none of what was asked for
    of_env = (GENERATION.environment_id == environment_id, ~GENERATION.candidate)
    newest = c.execute(
        select(GENERATION.asked_digest).where(*of_env).order_by(GENERATION.number.desc()).limit(1)
    ).scalar()
    if newest == env.asked_digest:
        note(c, "in-sync", "the newest generation is what is asked for", environment=environment_id)
        return
    known = c.execute(
        select(GENERATION.id).where(*of_env, GENERATION.asked_digest == env.asked_digest).limit(1)
    ).scalar()
    if known is not None:
        enqueue(c, env, Mode.REUSE, Reason.REVERT, now=now)
    else:
        enqueue(c, env, Mode.SOLVE, Reason.RESTORED if restored else Reason.COMMIT, now=now)


def _is_solved(c: Connection, env: EnvironmentRecord) -> bool:
    """Does the newest build say already which packages it would be?"""
    newest = c.execute(
        rows.builds.where(BUILD.environment_id == env.id).order_by(BUILD.id.desc()).limit(1)
    ).first()
    return (
        newest is not None
        and (newest.state, newest.solve_only) == (BuildState.READY, True)
        and newest.asked_digest == env.asked_digest
    )


def touch(c: Connection, plan: Plan, ask: Ask, now: datetime) -> int:
    """The file moved or changed in ways that need no build: show its new text and commit."""
    spec_id = keep_spec(c, ask)
    row = c.execute(
        select(ENV.id, ENV.spec_id, ENV.retired_at, ENV.wishes).where(
            ENV.namespace == ask.key.namespace, ENV.name == ask.key.name
        )
    ).one()
    values = _said(plan, ask, spec_id)
    wished = (row.wishes or Wishes()) != ask.wishes
    if spec_id != row.spec_id or wished or row.retired_at is not None:
        values |= {"revision": plan.revision, "changed_at": now}
        what = "restored" if row.retired_at else "no change"
        note(c, what, f"{ask.path}: nothing to build at {plan.revision[:12]}", environment=row.id)
    c.execute(update(schema.environment).where(ENV.id == row.id).values(**values))
    labels.keep(c, row.id, ask.wishes.labels)
    if row.retired_at is not None:
        _queue(c, row.id, restored=True, now=now)
    return int(row.id)


def retire(c: Connection, key: EnvKey, now: datetime) -> int | None:
    environment_id = change(c, key, retired_at=now, changed_at=now, invalid=None)
    if environment_id is not None:
        supersede(c, environment_id, now)
        of = c.execute(select(ENV.preview_of).where(ENV.id == environment_id)).scalar()
        why = "its request is closed, or changes it no more" if of else "its file is gone"
        note(c, "retired", why, environment=environment_id)
    return environment_id


def change(c: Connection, key: EnvKey, **values: object) -> int | None:
    changed = (
        update(schema.environment)
        .where(ENV.namespace == key.namespace, ENV.name == key.name)
        .values(**values)
        .returning(ENV.id)
    )
    return c.execute(changed).scalar()
