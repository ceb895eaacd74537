"""Tokens: made once, kept as their sha256, found by it, revoked by name."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from envwatch.catalog import rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.records import TokenRecord
from envwatch.errors import Conflict, NotFound
from envwatch.settings import Role

TOKEN = schema.token.c

PREFIX = "envwatch_"  # by it a secret that leaked is recognised, here and by scanners
NOTED = timedelta(minutes=1)  # a use is written down again after this long
_FORM = re.compile(rf"{PREFIX}(?P<secret>[0-9a-f]{{64}})(?P<sum>[0-9a-f]{{8}})")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its secret, which is nowhere else: it is told once."""

    token: TokenRecord
    secret: str = field(repr=False)


class Tokens:
    """Who may read and push with which secret."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        namespaces: tuple[str, ...],
        *,
        role: Role,
        owner: str = "",
        by: str = "",
        expires_at: datetime | None = None,
    ) -> NewToken:
        """Raises Conflict where a token of this name, and of this owner, is valid."""
        now, secret = datetime.now(UTC), _new_secret()
        with self._database.write(news=False) as c:
            same = (TOKEN.name == name, TOKEN.owner == owner)
            of_name = c.execute(select(schema.token).where(*same))
            if any(rows.token(row).is_valid(now) for row in of_name):
                hint = "revoke it first" if owner else f"`envwatch token revoke {name}` ends it"
                raise Conflict(f"there is a token `{name}` already", hint=hint)
            added = insert(schema.token).values(
                name=name,
                digest=_digest(secret),
                namespaces=namespaces,
                role=role,
                owner=owner,
                created_at=now,
                created_by=by,
                expires_at=expires_at,
            )
            row = c.execute(added.returning(*schema.token.columns)).one()
        return NewToken(rows.token(row), secret)

    def all(self) -> tuple[TokenRecord, ...]:
        """The newest first, also those that are valid no more."""
        with self._database.read() as c:
            found = c.execute(select(schema.token).order_by(TOKEN.id.desc()))
            return tuple(rows.token(row) for row in found)

    def valid_names(self, owner: str) -> tuple[str, ...]:
        """Of the tokens of one person that hold now."""
        with self._database.read() as c:
            found = c.execute(select(TOKEN.name).where(TOKEN.owner == owner, *_hold()))
            return tuple(row.name for row in found)

    def get(self, token_id: int) -> TokenRecord:
        """Raises NotFound."""
        with self._database.read() as c:
            row = c.execute(select(schema.token).where(TOKEN.id == token_id)).first()
        if row is None:
            raise NotFound(f"there is no token `{token_id}`", hint="see `envwatch token list`")
        return rows.token(row)

    def revoke(self, name: str = "", *, owner: str | None = None) -> int:
        """Refuse tokens from now on; how many held until now. Done again, it changes nothing.

        Those of this name, or all; with an owner only theirs, without one whoever's they are.
        """
        meant = [TOKEN.name == name] if name else []
        meant += [TOKEN.owner == owner] if owner is not None else []
        if not meant:
            raise Conflict("neither a token nor a person is named")
        with self._database.write(news=False) as c:
            if c.execute(select(TOKEN.id).where(*meant)).first() is None:
                what = f"there is no token `{name}`" if name else f"`{owner}` has no token"
                raise NotFound(what, hint="see `envwatch token list`")
            held = update(schema.token).where(*meant, *_hold())
            ended = c.execute(held.values(revoked_at=datetime.now(UTC)))
            return ended.rowcount

    def forget(self, start: str, before: datetime) -> None:
        """Drop those whose names begin so and that ended before then: the audit trail has them."""
        ended = (TOKEN.name.startswith(start, autoescape=True), TOKEN.expires_at < before)
        with self._database.write(news=False) as c:
            c.execute(delete(schema.token).where(*ended))

    def find(self, secret: str) -> TokenRecord | None:
        """The valid token of a secret.

        The lookup is by the hash of 256 random bits: how long it takes tells nothing of them.
        """
        now = datetime.now(UTC)
        if not _is_well_formed(secret):
            return None
        with self._database.read() as c:
            row = c.execute(select(schema.token).where(TOKEN.digest == _digest(secret))).first()
        found = rows.token(row) if row else None
        return found if found is not None and found.is_valid(now) else None

    def used(self, token: TokenRecord) -> None:
        """Note that it was used now, at most once a minute."""
        now = datetime.now(UTC)
        if token.used_at is not None and now - token.used_at < NOTED:
            return
        with self._database.write(detail=True) as c:
            c.execute(update(schema.token).where(TOKEN.id == token.id).values(used_at=now))


def _hold() -> tuple[ColumnElement[bool], ...]:
    """`TokenRecord.is_valid` in SQL."""
    unended = or_(TOKEN.expires_at.is_(None), TOKEN.expires_at > datetime.now(UTC))
    return TOKEN.revoked_at.is_(None), unended


def _new_secret() -> str:
    secret = secrets.token_hex(32)
    return f"{PREFIX}{secret}{_sum(secret)}"


def _is_well_formed(text: str) -> bool:
    """Could it be one of ours? Guesses and typing errors need no look into the catalog."""
    found = _FORM.fullmatch(text)
    return found is not None and _sum(found["secret"]) == found["sum"]


def _sum(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
