"""The pages: read, render. Every list is reachable page by page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, redirect, url_for
from pydantic import TypeAdapter

from envwatch.model import RUNNING, BuildState
from envwatch.views import environments, lists
from envwatch.views import notifiers as told
from envwatch.views import packages as installed
from envwatch.views import pages as views
from envwatch.views.notifiers import NotifiersPage
from envwatch.views.values import (
    BuildList,
    BuildPage,
    DiffPage,
    EnvironmentPage,
    KnownPackages,
    Listing,
    PackageUses,
    SourcePage,
    SourceRow,
)
from envwatch.web import logfile, parts
from envwatch.web.answers import Form, number, show, word
from envwatch.web.context import site
from envwatch.web.seeing import need_everything, scope, seen, seen_build, seen_namespace
from envwatch.web.using import UsePage, of_use, use_page

pages = Blueprint("pages", __name__)
PAGE: dict[str, Any] = {"form": Form.PAGE.value}
DATA: dict[str, Any] = {"form": Form.DATA.value}
LISTING = TypeAdapter(Listing)
ENVIRONMENT = TypeAdapter(EnvironmentPage)
BUILD = TypeAdapter(BuildPage)
DIFF = TypeAdapter(DiffPage)
SOURCES = TypeAdapter(tuple[SourceRow, ...])
SOURCE = TypeAdapter(SourcePage)
BUILDS = TypeAdapter(BuildList)
USES = TypeAdapter(PackageUses)
KNOWN = TypeAdapter(KnownPackages)
NOTIFIERS = TypeAdapter(NotifiersPage)
USE = TypeAdapter(UsePage)


@pages.get("/", defaults=PAGE)
@pages.get("/index.json", defaults=DATA)
def home(form: str) -> Response:
    return _listing(form, "")


@pages.get("/<namespace>/", defaults=PAGE)
@pages.get("/<namespace>/index.json", defaults=DATA)
def namespace(form: str, namespace: str) -> Response:
    seen_namespace(namespace)
    return _listing(form, namespace)


def _listing(form: str, namespace: str) -> Response:
    database = site().context.catalog.database

    def read() -> Listing:
        return environments.listing(
            database,
            namespace=namespace,
            search=word("q"),
            state=word("state"),
            label=word("label"),
            retired=word("retired") == "yes",
            page=number(),
            scope=scope(),
        )

    return show(form, "home.html", read, LISTING, extra=lambda _: parts.of_listing(namespace))


@pages.get("/<namespace>/<name>/", defaults=PAGE)
@pages.get("/<namespace>/<name>/index.json", defaults=DATA)
def environment(form: str, namespace: str, name: str) -> Response:
    catalog, key = site().context.catalog, seen(namespace, name)
    return show(
        form,
        "environment.html",
        lambda: views.environment(catalog, key, page=number(), scope=scope()),
        ENVIRONMENT,
        extra=parts.of_environment,
    )


@pages.get("/<namespace>/<name>/builds/<int:build_id>", defaults=PAGE)
@pages.get("/<namespace>/<name>/builds/<int:build_id>.json", defaults=DATA)
def build(form: str, namespace: str, name: str, build_id: int) -> Response:
    catalog, key = site().context.catalog, seen(namespace, name)
    log = site().context.log_path(build_id)
    depends = 0 if word("log") == "no" else logfile.size(log)

    def read() -> BuildPage:
        return views.build(catalog, seen_build(key, build_id).id, scope=scope())

    return show(form, "build.html", read, BUILD, depends=depends, extra=parts.of_build)


@pages.get("/<namespace>/<name>/<int:generation>/")
def generation(namespace: str, name: str, generation: int) -> Any:
    """A generation is shown by the page of the build that made it."""
    catalog, key = site().context.catalog, seen(namespace, name)
    found = catalog.generations.get(key, generation)
    return redirect(
        url_for(".build", **PAGE, namespace=namespace, name=name, build_id=found.build_id)
    )


@pages.get("/<namespace>/<name>/diff/<int:old>..<int:new>", defaults=PAGE)
@pages.get("/<namespace>/<name>/diff/<int:old>..<int:new>.json", defaults=DATA)
def diff(form: str, namespace: str, name: str, old: int, new: int) -> Response:
    catalog, key = site().context.catalog, seen(namespace, name)
    return show(form, "diff.html", lambda: views.compare(catalog, key, old, new), DIFF)


@pages.get("/<namespace>/<name>/diff")
def choose_diff(namespace: str, name: str) -> Any:
    """Where the form of a comparison leads: the two numbers chosen in it."""
    seen(namespace, name)
    old, new = number("old"), number("new")
    return redirect(url_for(".diff", **PAGE, namespace=namespace, name=name, old=old, new=new))


@pages.get("/builds", defaults=PAGE)
@pages.get("/builds.json", defaults=DATA)
def builds(form: str) -> Response:
    catalog, state = site().context.catalog, word("state")
    one = (BuildState(state),) if state in tuple(BuildState) else ()
    states = RUNNING if state == "running" else one

    def read() -> BuildList:
        return lists.recent_builds(
            catalog,
            states=states,
            namespace=word("namespace"),
            page=number(),
            scope=scope(),
        )

    query = {k: word(k) or None for k in ("state", "namespace")}
    return show(form, "builds.html", read, BUILDS, extra=lambda _: {"query": query})


@pages.get("/sources", defaults=PAGE)
@pages.get("/sources.json", defaults=DATA)
def sources(form: str) -> Response:
    catalog = site().context.catalog
    return show(
        form,
        "sources.html",
        lambda: views.sources(catalog, scope=scope()),
        SOURCES,
        extra=parts.of_sources,
    )


@pages.get("/source", defaults=PAGE)
@pages.get("/source.json", defaults=DATA)
def source(form: str) -> Response:
    catalog, name = site().context.catalog, word("name")
    return show(
        form,
        "source.html",
        lambda: views.source(catalog, name, page=number(), scope=scope()),
        SOURCE,
        depends=site().context.hooks.knows(name),
        extra=parts.of_source,
    )


@pages.get("/notifiers", defaults=PAGE)
@pages.get("/notifiers.json", defaults=DATA)
def notifiers(form: str) -> Response:
    need_everything()
    catalog = site().context.catalog
    return show(form, "notifiers.html", lambda: told.notifiers(catalog), NOTIFIERS)


@pages.get("/use", defaults=PAGE)
@pages.get("/use.json", defaults=DATA)
def use(form: str) -> Response:
    return show(form, "use.html", lambda: use_page(word("environment")), USE, extra=of_use)


@pages.get("/packages", defaults=PAGE)
@pages.get("/packages.json", defaults=DATA)
def packages(form: str) -> Response:
    catalog, name = site().context.catalog, word("name").lower()
    if not name:
        wanted = word("q").lower()
        return show(
            form,
            "packages.html",
            lambda: installed.known_packages(catalog, wanted, page=number(), scope=scope()),
            KNOWN,
        )
    version = word("version")
    return show(
        form,
        "package.html",
        lambda: installed.package_uses(
            catalog, name, version=version, page=number(), scope=scope()
        ),
        USES,
    )
