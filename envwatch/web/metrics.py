"""The catalog as Prometheus sees it: read at each scrape, so no number can drift from the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from envwatch.catalog.schema import SourceState
from envwatch.model import ArchiveState, BuildState, EnvState
from envwatch.telling import RecipientState
from envwatch.views import figures
from envwatch.views.values import Figures as Values
from envwatch.web.context import Context


class Figures(Collector):
    """One scrape of one context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def describe(self) -> Iterable[Metric]:
        return ()  # else registering would read the whole catalog once for nothing

    def collect(self) -> Iterator[Metric]:
        values = figures.figures(self._context.catalog)
        return chain(
            _process(self._context),
            _environments(values),
            _builds(values),
            _sources(values),
            _locks(values),
            _generations(values),
            _webhooks(self._context),
            _telling(values),
        )


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"envwatch_{name}", help_text, value=value)


def _labelled(
    name: str,
    help_text: str,
    labels: tuple[str, ...],
    found: Iterable[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"envwatch_{name}", help_text, labels=labels)
    for values, number in found:
        family.add_metric(values, number)
    return family


def _process(context: Context) -> Iterator[Metric]:
    health = context.health()
    yield InfoMetricFamily("envwatch", "this envwatch", {"version": version("envwatch")})
    yield _gauge("alive", "1 while every loop beats", health.alive)
    yield _gauge("ready", "1 once every source was looked at", health.ready)
    started = context.started_at.timestamp()
    yield _gauge("start_time_seconds", "when the daemon started, since the epoch", started)


def _environments(values: Values) -> Iterator[Metric]:
    counted = {(namespace, state): n for namespace, state, n in values.environments}
    namespaces = sorted({namespace for namespace, _ in counted})
    yield _labelled(
        "environments",
        "environments that are not retired, by state",
        ("namespace", "state"),
        (((ns, s.value), counted.get((ns, s), 0)) for ns in namespaces for s in EnvState),
    )
    invalid = dict(values.invalid)
    yield _labelled(
        "environments_invalid",
        "environments whose file is refused now",
        ("namespace",),
        (((ns,), invalid.get(ns, 0)) for ns in namespaces),
    )
    yield _gauge("environments_held", "environments held at a generation", values.held)


def _builds(values: Values) -> Iterator[Metric]:
    counted = dict(values.builds)
    yield _labelled(
        "builds",
        "builds, by state",
        ("state",),
        (((s.value,), counted.get(s, 0)) for s in BuildState),
    )
    yield _gauge("queue_depth", "builds that wait", counted.get(BuildState.QUEUED, 0))
    waited = datetime.now(UTC) - values.oldest_queued if values.oldest_queued else None
    age = max(0.0, waited.total_seconds()) if waited else 0.0
    yield _gauge("queue_oldest_seconds", "how long the oldest of them waits", age)
    family = HistogramMetricFamily(
        "envwatch_build_phase_seconds", "how long each phase of ended builds took", labels=["phase"]
    )
    for p in values.phases:
        buckets = [(str(limit), n) for limit, n in p.at_most]
        family.add_metric([p.phase], [*buckets, ("+Inf", p.count)], sum_value=p.seconds)
    yield family


def _sources(values: Values) -> Iterator[Metric]:
    yield _labelled(
        "source_last_success_timestamp_seconds",
        "when a source could last be read, since the epoch; 0 is never",
        ("source",),
        (((s.name,), s.ok_at.timestamp() if s.ok_at else 0) for s in values.sources),
    )
    yield _labelled(
        "source_failures",
        "how often in a row a source could not be read",
        ("source",),
        (((s.name,), s.failures) for s in values.sources),
    )
    yield _labelled(
        "source_state",
        "1 for the state in which a source is",
        ("source", "state"),
        (((s.name, w.value), s.state is w) for s in values.sources for w in SourceState),
    )


def _locks(values: Values) -> Iterator[Metric]:
    yield _labelled(
        "write_back_failures",
        "how often in a row the locks of a source could not be written",
        ("source",),
        (((w.source,), w.failures) for w in values.locks),
    )


def _generations(values: Values) -> Iterator[Metric]:
    yield _gauge("store_bytes", "bytes of all kept prefixes, shared files once", values.store_size)
    yield _gauge("generations", "generations ever published", values.generations)
    yield _gauge("generations_pruned", "generations whose files are gone", values.pruned)
    yield _gauge("generations_damaged", "kept generations that failed a check", values.damaged)
    counted = dict(values.archives)
    yield _labelled(
        "archives",
        "archives of generations, by state",
        ("state",),
        (((s.value,), counted.get(s, 0)) for s in ArchiveState),
    )


def _webhooks(context: Context) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "envwatch_webhook",
        "web hooks since the daemon started, by what became of them",
        labels=["result"],
    )
    for decision, count in context.hooks.counted():
        family.add_metric([decision.value], count)
    yield family


def _telling(values: Values) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "envwatch_notifications",
        "messages to forges and notifiers, by what became of them",
        labels=["role", "notifier", "result"],
    )
    for r in values.recipients:
        results = (("delivered", r.delivered), ("failed", r.failed), ("given-up", r.given_up))
        for result, count in results:
            family.add_metric([r.role, r.name, result], count)
    yield family
    yield _labelled(
        "notifications_waiting",
        "messages that were not acknowledged yet",
        ("role", "notifier"),
        (((r.role, r.name), r.waiting) for r in values.recipients),
    )
    yield _labelled(
        "notifier_state",
        "1 for the state in which a forge or notifier is",
        ("role", "notifier", "state"),
        (
            ((r.role, r.name, w.value), r.state is w)
            for r in values.recipients
            for w in RecipientState
        ),
    )
