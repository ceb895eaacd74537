"""Is it alive, is it ready, and in numbers: for watchdogs, balancers and Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from envwatch.web.context import Health, site
from envwatch.web.metrics import Figures
from envwatch.web.seeing import need_everything

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> Response:
    now = site().context.health()
    return _said("alive" if now.alive else "not alive", now, good=now.alive)


@health.get("/readyz")
def readyz() -> Response:
    now = site().context.health()
    return _said("ready" if now.ready else "not ready", now, good=now.ready)


@health.get("/metrics")
def metrics() -> Response:
    need_everything()
    registry = CollectorRegistry()
    registry.register(Figures(site().context))
    response = Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response.headers["Cache-Control"] = "no-store"
    return response


def _said(word: str, now: Health, *, good: bool) -> Response:
    lines = [word] if good else [word, *now.reasons]
    response = Response("\n".join(lines) + "\n", 200 if good else 503, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-store"
    return response
