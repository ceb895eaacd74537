"""Web hooks that came: what was decided on each, so that a person sees it and none counts twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from envwatch.catalog import rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.records import DeliveryRecord
from envwatch.hooks.decision import Decision
from envwatch.hooks.sender import Forge

KEPT = 100
# those that nobody signed are kept apart: however many come, the good ones stay
KEPT_REFUSED = 20
REMEMBERED = timedelta(minutes=10)

DELIVERY = schema.delivery.c
_BELIEVED = (Decision.WOKEN, Decision.ELSEWHERE, Decision.PING)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """`digest` is equal for two that are the same."""

    source: str
    at: datetime
    forge: Forge
    event: str
    name: str
    digest: str
    decision: Decision
    ref: str = ""
    revision: str = ""
    reason: str = ""


class Deliveries:
    """Bounded for each source, whatever is sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, new: NewDelivery) -> bool:
        """Note a delivery that is believed; not when it came before, within the last minutes."""
        recent = new.at - REMEMBERED
        same = DELIVERY.source == new.source, DELIVERY.digest == new.digest, DELIVERY.at > recent
        with self._database.write(detail=True) as c:
            known = c.execute(
                select(DELIVERY.id).where(*same, DELIVERY.decision.in_(_BELIEVED)).limit(1)
            ).scalar()
            if known is not None:
                again = update(schema.delivery).where(DELIVERY.id == known)
                c.execute(again.values(repeats=DELIVERY.repeats + 1))
                return False
            c.execute(insert(schema.delivery).values(**asdict(new), repeats=0))
            # what could still come again is not forgotten, also when very many come
            _prune(c, new.source, DELIVERY.decision.in_(_BELIEVED), KEPT, DELIVERY.at <= recent)
        return True

    def refuse(self, new: NewDelivery, *, unlisted: int = 0) -> None:
        """Note one that was not taken, and how many before it were not noted."""
        with self._database.write(detail=True) as c:
            c.execute(insert(schema.delivery).values(**asdict(new), repeats=unlisted))
            _prune(c, new.source, DELIVERY.decision.not_in(_BELIEVED), KEPT_REFUSED)

    def missed(self, source: str, revision: str) -> None:
        """The commit that a delivery named did not show in time."""
        text = f"a web hook named the commit `{revision[:12]}`, and it did not become the tip"
        with self._database.write(detail=True) as c:
            note(c, "hook-missed", text, source=source)

    def of(self, source: str, *, limit: int = KEPT + KEPT_REFUSED) -> tuple[DeliveryRecord, ...]:
        """The newest first."""
        query = select(schema.delivery).where(DELIVERY.source == source)
        with self._database.read() as c:
            found: Sequence[DeliveryRecord] = [
                rows.delivery(r) for r in c.execute(query.order_by(DELIVERY.id.desc()).limit(limit))
            ]
        return tuple(found)


def _prune(
    c: Connection, source: str, kind: ColumnElement[bool], keep: int, *more: ColumnElement[bool]
) -> None:
    mine = DELIVERY.source == source, kind
    newest = select(DELIVERY.id).where(*mine).order_by(DELIVERY.id.desc()).limit(keep)
    c.execute(delete(schema.delivery).where(*mine, DELIVERY.id.not_in(newest), *more))
