"""The tables of the catalog. Values in and out are those of `model`; rows never leave.

Longer than other modules on purpose: a schema is read as a whole, against its migrations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from envwatch.hooks.decision import Decision
from envwatch.hooks.sender import Forge
from envwatch.model import (
    ArchiveState,
    ArtifactKind,
    BuildState,
    Composition,
    Failure,
    FileState,
    Kernel,
    Manager,
    Message,
    Phase,
    Progress,
    Wishes,
)
from envwatch.settings import Grant, Role
from envwatch.telling import Condition, Notice, NoticeKind, RecipientState, StatusState


class Instant(TypeDecorator[datetime]):
    """An aware UTC time, kept as seconds since the epoch: SQLite would forget the zone."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002  # the signature is SQLAlchemy's
        return None if value is None else value.timestamp()

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # the signature is SQLAlchemy's
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Json(TypeDecorator[Any]):
    """A value of `model`, or a tuple of them, as JSON text."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._adapter = TypeAdapter[Any](kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  # the signature is SQLAlchemy's
        return None if value is None else self._adapter.dump_json(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # the signature is SQLAlchemy's
        return None if value is None else self._adapter.validate_json(value)


def word(kind: type[StrEnum]) -> Enum:
    """A column that holds one of the words of `kind`, as the word itself."""
    return Enum(kind, native_enum=False, length=32, values_callable=lambda e: [m.value for m in e])


class Reason(StrEnum):
    """Why a build was asked for."""

    COMMIT = "commit"
    REVERT = "revert"
    RESTORED = "restored"
    REBUILD = "rebuild"
    UPDATE = "update"
    RETRY = "retry"
    REPAIR = "repair"
    INTERRUPTED = "interrupted"


class Mode(StrEnum):
    """Where a build takes its lock from."""

    SOLVE = "solve"
    UPDATE = "update"
    LOCK = "lock"
    REUSE = "reuse"


class WriteState(StrEnum):
    """How the locks of a source stand that are written back."""

    NEW = "new"
    WAITING = "waiting"
    OK = "ok"
    FAILING = "failing"
    STALLED = "stalled"


class SourceState(StrEnum):
    NEW = "new"
    OK = "ok"
    FAILING = "failing"
    STALLED = "stalled"
    EMPTY = "empty"


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

source = Table(
    "source",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("namespace", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("place", Text, nullable=False),
    Column("branch", Text, nullable=False, default=""),
    Column("rules", String(64), nullable=False, default=""),
    Column("fingerprint", Text, nullable=False, default=""),
    Column("revision", String(64), nullable=False, default=""),
    Column("state", word(SourceState), nullable=False, default=SourceState.NEW),
    Column("message", Text, nullable=False, default=""),
    Column("hint", Text, nullable=False, default=""),
    Column("failures", Integer, nullable=False, default=0),
    Column("looked_at", Instant),
    Column("ok_at", Instant),
    Column("confirmed_empty", Boolean, nullable=False, default=False),
    Column("removed_at", Instant),
    Column("family", String(64), nullable=False, default="", server_default=""),
    Column("ref", Text, nullable=False, default="", server_default=""),
    Column("base", String(64), nullable=False, default="", server_default=""),
    Column("title", Text, nullable=False, default="", server_default=""),
    Column("link", Text, nullable=False, default="", server_default=""),
)

revision = Table(
    "revision",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("revision", String(64), primary_key=True),
    Column("author", Text, nullable=False, default=""),
    Column("email", Text, nullable=False, default=""),
    Column("subject", Text, nullable=False, default=""),
    Column("committed_at", Instant),
    Column("seen_at", Instant, nullable=False),
    Column("signature", Text, nullable=False, default="", server_default=""),
)

file = Table(
    "file",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("state", word(FileState), nullable=False),
    Column("namespace", String(64), nullable=False, default=""),
    Column("name", String(64), nullable=False, default=""),
    Column("messages", Json(tuple[Message, ...]), nullable=False),
)

spec = Table(
    "spec",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("lock_text", Text, nullable=False, default=""),
    Column("messages", Json(tuple[Message, ...]), nullable=False),
    Column("composition", Json(Composition | None)),
)

environment = Table(
    "environment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("asked_digest", String(64), nullable=False),
    Column("ask", Integer, nullable=False),
    Column("spec_id", Integer, ForeignKey("spec.id"), nullable=False),
    Column("revision", String(64), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("invalid", Json(Message | None)),
    Column("current", Integer),
    Column("held", Boolean, nullable=False, default=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("retired_at", Instant),
    Column("wishes", Json(Wishes | None)),
    Column("lock_path", Text, nullable=False, default="", server_default=""),
    Column("offer", Text, nullable=False, default="", server_default=""),
    Column("preview_of", String(64), nullable=False, default="", server_default=""),
    Column("solve_only", Boolean, nullable=False, default=False, server_default="0"),
    UniqueConstraint("namespace", "name"),
    Index("ix_environment_changed", "changed_at"),
    sqlite_autoincrement=True,
)

label = Table(
    "label",
    metadata,
    Column("environment_id", Integer, ForeignKey("environment.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Index("ix_label_name", "name", "value"),
)

build = Table(
    "build",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_id", Integer, ForeignKey("environment.id"), nullable=False),
    Column("spec_id", Integer, ForeignKey("spec.id"), nullable=False),
    Column("asked_digest", String(64), nullable=False),
    Column("ask", Integer, nullable=False),
    Column("mode", word(Mode), nullable=False),
    Column("reason", word(Reason), nullable=False),
    Column("requested_by", Text, nullable=False, default=""),
    Column("source", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("revision", String(64), nullable=False),
    Column("state", word(BuildState), nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("attempt", Integer, nullable=False, default=1),
    Column("retry_at", Instant),
    Column("cancel", word(BuildState)),
    Column("cancelled_by", Text, nullable=False, default=""),
    Column("progress", Json(Progress | None)),
    Column("phases", Json(tuple[Phase, ...]), nullable=False),
    Column("failure", Json(Failure | None)),
    Column("messages", Json(tuple[Message, ...]), nullable=False),
    Column("lock_digest", String(64), nullable=False, default=""),
    Column("prefix_digest", String(64), nullable=False, default=""),
    Column("prefix", Text, nullable=False, default=""),
    Column("reused", Boolean, nullable=False, default=False),
    Column("size", Integer, nullable=False, default=0),
    Column("own_size", Integer, nullable=False, default=0),
    Column("generation", Integer),
    Column("solve_only", Boolean, nullable=False, default=False, server_default="0"),
    Index("ix_build_environment", "environment_id", "id"),
    Index("ix_build_state", "state", "id"),
    Index("ix_build_revision", "source", "revision"),
    sqlite_autoincrement=True,
)

generation = Table(
    "generation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_id", Integer, ForeignKey("environment.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("build_id", Integer, ForeignKey("build.id"), nullable=False),
    Column("spec_id", Integer, ForeignKey("spec.id"), nullable=False),
    Column("asked_digest", String(64), nullable=False),
    Column("ask", Integer, nullable=False),
    Column("reason", word(Reason), nullable=False),
    Column("revision", String(64), nullable=False),
    Column("lock_digest", String(64), nullable=False),
    Column("prefix_digest", String(64), nullable=False),
    Column("prefix", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("own_size", Integer, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("ceased_at", Instant),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("pruned_at", Instant),
    Column("damaged", Text, nullable=False, default=""),
    Column("verified_at", Instant),
    Column("kernels", Json(tuple[Kernel, ...]), nullable=False),
    Column("python", String(40), nullable=False, default=""),
    Column("archive", word(ArchiveState), nullable=False, default=ArchiveState.NONE),
    Column("archive_message", Text, nullable=False, default=""),
    Column("lock_file_digest", String(64), nullable=False, default="", server_default=""),
    Column("candidate", Boolean, nullable=False, default=False, server_default="0"),
    UniqueConstraint("environment_id", "number"),
    Index("ix_generation_prefix", "prefix_digest"),
    Index("ix_generation_lock", "lock_digest"),
    sqlite_autoincrement=True,
)

package = Table(
    "package",
    metadata,
    Column("lock_digest", String(64), primary_key=True),
    Column("manager", word(Manager), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("version", Text, nullable=False),
    Column("build", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("license", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("requested", Boolean, nullable=False),
    Column("depends", Text, nullable=False, default="", server_default=""),
    Index("ix_package_name", "name"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("generation_id", Integer, ForeignKey("generation.id"), primary_key=True),
    Column("kind", word(ArtifactKind), primary_key=True),
    Column("key", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("environment_id", Integer, ForeignKey("environment.id")),
    Column("source", String(64), nullable=False, default=""),
    Column("type", String(30), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_event_environment", "environment_id", "id"),
    sqlite_autoincrement=True,
)

# The secret itself is nowhere: `digest` is its sha256.
token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("namespaces", Json(tuple[str, ...]), nullable=False),
    Column("role", word(Role), nullable=False),
    Column("owner", String(255), nullable=False, default="", server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False, default=""),
    Column("expires_at", Instant),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
    Index("ix_token_name", "name"),
    sqlite_autoincrement=True,
)

# Who has signed in, and what those who signed them in say of them. `sessions_from`: what was
# opened before is no session any more.
person = Table(
    "person",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("groups", Json(tuple[str, ...]), nullable=False),
    Column("grants", Json(tuple[Grant, ...]), nullable=False),
    Column("by", String(20), nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("sessions_from", Instant),
)

# The secret itself is nowhere: `digest` is its sha256.
session = Table(
    "session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", String(255), ForeignKey("person.name"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_session_person", "person"),
)

# What people granted to people, beside the config. One of `user` and `group` is empty.
binding = Table(
    "binding",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pattern", String(140), nullable=False),
    Column("role", word(Role), nullable=False),
    Column("user", String(255), nullable=False, default=""),
    Column("group", String(255), nullable=False, default=""),
    Column("granted_by", String(255), nullable=False),
    Column("granted_at", Instant, nullable=False),
    UniqueConstraint("pattern", "user", "group"),
    sqlite_autoincrement=True,
)

# Namespaces that were made here, beside those of the config: each has a managed repository.
namespace = Table(
    "namespace",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("made_by", String(255), nullable=False),
    Column("made_at", Instant, nullable=False),
)

# Who did what: kept when all else of it is gone.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("person", String(255), nullable=False),
    Column("token", String(64), nullable=False, default=""),
    Column("action", String(40), nullable=False),
    Column("namespace", String(64), nullable=False, default=""),
    Column("name", String(64), nullable=False, default=""),
    Column("detail", Text, nullable=False, default=""),
    Index("ix_audit_namespace", "namespace", "name", "id"),
    sqlite_autoincrement=True,
)

# What was answered to a request that may be sent again: `key` is the digest of who sent it and of
# their own key for it, `request` that of what was asked. `status` is empty while it is done.
reply = Table(
    "reply",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("status", Integer),
    Column("body", Text, nullable=False, default=""),
    Index("ix_reply_at", "at"),
)

chore = Table(
    "chore",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("ran_at", Instant, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("forge", word(Forge), nullable=False),
    Column("event", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("ref", Text, nullable=False),
    Column("revision", String(64), nullable=False),
    Column("decision", word(Decision), nullable=False),
    Column("reason", Text, nullable=False),
    Column("repeats", Integer, nullable=False, default=0),
    Index("ix_delivery_source", "source", "id"),
    sqlite_autoincrement=True,
)
# ---------------------------------------------------------------- telling

status = Table(
    "status",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("revision", String(64), primary_key=True),
    Column("context", String(255), primary_key=True),
    Column("namespace", String(64), nullable=False, default=""),
    Column("name", String(64), nullable=False, default=""),
    Column("ask", Integer, nullable=False, default=0),
    Column("state", word(StatusState), nullable=False),
    Column("description", Text, nullable=False),
    Column("url", Text, nullable=False, default=""),
    Column("wanted_at", Instant, nullable=False),
    Column("told_state", word(StatusState)),
    Column("told_description", Text, nullable=False, default=""),
    Column("told_url", Text, nullable=False, default=""),
    Column("told_at", Instant),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Instant),
    Column("failure", Text, nullable=False, default=""),
    Column("given_up_at", Instant),
)

# what a request to merge is told; `name` is the forge's own for the comment
comment = Table(
    "comment",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("wanted_at", Instant, nullable=False),
    Column("told", Text, nullable=False, default=""),
    Column("told_at", Instant),
    Column("name", String(64), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Instant),
    Column("failure", Text, nullable=False, default=""),
    Column("given_up_at", Instant),
)

condition = Table(
    "condition",
    metadata,
    Column("subject", String(160), primary_key=True),
    Column("value", word(Condition), nullable=False),
    Column("current", Integer),
    Column("since", Instant, nullable=False),
)

notification = Table(
    "notification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("notifier", String(64), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("kind", word(NoticeKind), nullable=False),
    Column("notice", Json(Notice), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Instant),
    Column("failure", Text, nullable=False, default=""),
    Column("told_at", Instant),
    Column("given_up_at", Instant),
    Index("ix_notification_notifier", "notifier", "id"),
    sqlite_autoincrement=True,
)

recipient = Table(
    "recipient",
    metadata,
    Column("role", String(20), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("place", Text, nullable=False, default=""),
    Column("state", word(RecipientState), nullable=False, default=RecipientState.NEW),
    Column("message", Text, nullable=False, default=""),
    Column("hint", Text, nullable=False, default=""),
    Column("failures", Integer, nullable=False, default=0),
    Column("tried_at", Instant),
    Column("ok_at", Instant),
    Column("next_at", Instant),
    Column("delivered", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("given_up", Integer, nullable=False, default=0),
)

# ---------------------------------------------------------------- locks written back

write_back = Table(
    "write_back",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("state", word(WriteState), nullable=False, default=WriteState.NEW),
    Column("message", Text, nullable=False, default=""),
    Column("hint", Text, nullable=False, default=""),
    Column("failures", Integer, nullable=False, default=0),
    Column("done", String(64), nullable=False, default=""),
    Column("revision", String(64), nullable=False, default=""),
    Column("base", String(64), nullable=False, default=""),
    Column("written", Integer, nullable=False, default=0),
    Column("tried_at", Instant),
    Column("written_at", Instant),
    Column("next_at", Instant),
)
