"""Calendar work: APScheduler says when, and only puts the name of a chore into a queue."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

from envwatch import wishes
from envwatch.catalog import Catalog
from envwatch.config import cron_fields
from envwatch.model import EnvKey, Wishes
from envwatch.settings import Settings

logger = logging.getLogger(__name__)


def next_after(cron: str, moment: datetime) -> datetime:
    """The next time (UTC) at which a cron text is due."""
    return next(CronSim(cron_fields(cron), moment.astimezone(UTC)))


class Cron(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Cron as Debian's cron reads it: APScheduler's own counts weekdays from Monday."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_next_fire_time(self, _: datetime | None, now: datetime) -> datetime:
        return next_after(self._text, now)

    def __str__(self) -> str:
        return self._text


class Schedule:
    """Puts chores into a queue when they are due, and what was missed while down at start."""

    def __init__(self, catalog: Catalog, put: Callable[[str], None]) -> None:
        self._catalog = catalog
        self._put = put
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self._due: dict[str, str] = {}
        self._lock = threading.RLock()

    def start(self, settings: Settings) -> None:
        self._scheduler.start()
        self.load(settings)
        self._catch_up()

    def load(self, settings: Settings) -> None:
        """Take over the chores of these settings, and forget the clock of before."""
        with self._lock:
            self._scheduler.remove_all_jobs()
            self._due = self._chores(settings)
            for name, cron in self._due.items():
                self._scheduler.add_job(self._put, Cron(cron), args=(name,), id=name)

    def follow(self, settings: Settings) -> None:
        """Take over what repositories ask for now; nothing happens where that is the same."""
        with self._lock:
            if self._chores(settings) != self._due:
                self.load(settings)

    def _chores(self, settings: Settings) -> dict[str, str]:
        return chores(settings) | own_updates(settings, self._catalog.updates())

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)

    def upcoming(self) -> dict[str, datetime]:
        """When each chore is due next."""
        jobs: list[Any] = self._scheduler.get_jobs()
        return {job.id: job.next_run_time for job in jobs}

    def _catch_up(self) -> None:
        now = datetime.now(UTC)
        for name, cron in self._due.items():
            last = self._catalog.last_run(name)
            if last is None:
                self._catalog.ran(name)
            elif next_after(cron, last) <= now:
                logger.info("%s was due while no daemon ran: it runs now", name)
                self._put(name)


def own_updates(settings: Settings, asked: Iterable[tuple[EnvKey, Wishes]]) -> dict[str, str]:
    """The environments that are updated at a time of their own, and that time."""
    due = {}
    for key, wished in asked:
        when = wishes.update(settings.namespace(key.namespace), wished)
        if when not in ("", "off"):
            due[f"update-one:{key}"] = when
    return due


def chores(settings: Settings) -> dict[str, str]:
    """The name of each chore and its cron text."""
    due = {"retry-stalled": "@daily"}
    if settings.schedule.retention:
        due["retention"] = settings.schedule.retention
    if settings.schedule.verify:
        due["verify"] = settings.schedule.verify
    for namespace in (*settings.namespaces, *(made for _, made in settings.patterns)):
        if namespace.update and namespace.update != "latest":
            due[f"update:{namespace.name}"] = namespace.update
    return due
