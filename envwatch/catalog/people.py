"""People who have signed in, and their sessions: secrets kept as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.access import Identity
from envwatch.catalog import schema
from envwatch.catalog.database import Database

PERSON = schema.person.c
SESSION = schema.session.c
NOTED = timedelta(minutes=5)  # that somebody was here is written down again after this long


class People:
    """Who has signed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, identity: Identity, by: str) -> bool:
        """Note what is said of somebody now, unless it was noted a moment ago; was it?

        `by` is who said it: oidc, jupyterhub, proxy.
        """
        now = datetime.now(UTC)
        values = {"groups": identity.groups, "grants": identity.grants, "by": by, "seen_at": now}
        known = select(schema.person).where(PERSON.name == identity.name)
        with self._database.read() as c:
            row = c.execute(known).first()
        same = row is not None and (row.groups, row.grants, row.by) == (
            identity.groups, identity.grants, by
        )  # fmt: skip
        if row is not None and same and now - row.seen_at < NOTED:
            return False
        with self._database.write(news=False) as c:
            c.execute(
                upsert(schema.person)
                .values(name=identity.name, first_at=now, **values)
                .on_conflict_do_update(index_elements=["name"], set_=values)
            )
        return True

    def identity(self, name: str) -> Identity | None:
        """What was said of somebody last; None for somebody who never came."""
        with self._database.read() as c:
            row = c.execute(select(schema.person).where(PERSON.name == name)).first()
        return Identity(row.name, row.groups, row.grants) if row else None

    # ------------------------------------------------------------ sessions

    def open_session(self, name: str, seconds: float) -> str:
        """Let somebody be signed in for so long; the secret of their session."""
        now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
        with self._database.write(news=False) as c:
            c.execute(delete(schema.session).where(SESSION.expires_at < now))
            c.execute(
                insert(schema.session).values(
                    digest=_digest(secret),
                    person=name,
                    created_at=now,
                    expires_at=now + timedelta(seconds=seconds),
                )
            )
        return secret

    def of_session(self, secret: str) -> tuple[Identity, datetime] | None:
        """Whose session it is, and when it ends; None where it has ended, or never was."""
        query = (
            select(schema.person, SESSION.expires_at)
            .join_from(schema.session, schema.person)
            .where(SESSION.digest == _digest(secret), SESSION.expires_at > datetime.now(UTC))
            .where(PERSON.sessions_from.is_(None) | (SESSION.created_at > PERSON.sessions_from))
        )
        with self._database.read() as c:
            row = c.execute(query).first()
        return (Identity(row.name, row.groups, row.grants), row.expires_at) if row else None

    def close_session(self, secret: str) -> None:
        with self._database.write(news=False) as c:
            c.execute(delete(schema.session).where(SESSION.digest == _digest(secret)))

    def close_all(self, name: str) -> None:
        """Everywhere: whatever has a session of theirs must sign in again."""
        with self._database.write(news=False) as c:
            c.execute(delete(schema.session).where(SESSION.person == name))
            c.execute(
                update(schema.person)
                .where(PERSON.name == name)
                .values(sessions_from=datetime.now(UTC))
            )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
