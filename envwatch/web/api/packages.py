"""Channels, packages and settings: what is known of them here, to read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from envwatch.errors import Busy, Conflict
from envwatch.model import EnvKey, Package
from envwatch.settings import Role
from envwatch.views import listing
from envwatch.web.api import guard, shapes
from envwatch.web.api.builds import PackageQuery
from envwatch.web.api.envelope import BadRequest
from envwatch.web.api.reading import Paging, Sorting
from envwatch.web.api.routes import Listed, Routes
from envwatch.web.api.status import primary
from envwatch.web.channels import found_in, query_of
from envwatch.web.context import site
from envwatch.web.seeing import workplaces
from envwatch.web.visitor import need, need_all, visitor


class ChannelQuery(Paging):
    namespace: str = Field(max_length=64)
    search: str = Field("", max_length=200)
    exact: str = Field("", max_length=200)


def add(routes: Routes) -> None:
    routes.get("/channel/", query=Sorting, answer=shapes.CondaChannel, listed=True)(channels)
    listed = {"query": PackageQuery, "answer": shapes.CondaPackage, "listed": True, "fresh": True}
    routes.get("/package/", **listed)(packages)
    searched = {"query": ChannelQuery, "answer": shapes.CondaPackage, "listed": True}
    routes.get("/channel/package/", **searched, costly=True, fresh=True)(of_channels)
    setting = {"answer": dict[str, Any], "tag": "setting"}
    routes.get("/setting/", **setting)(settings)
    routes.get("/setting/<namespace>/", **setting)(settings)
    routes.get("/setting/<namespace>/<name>/", **setting)(settings)


def channels(query: Sorting) -> Listed:
    """The channels from which something that is seen was installed."""
    span = query.span(whole=True)
    found = listing.channels(site().context.catalog.database, visitor())
    return Listed.cut(found, span, lambda c: shapes.CondaChannel(id=shapes.number(c), name=c))


def packages(query: PackageQuery) -> Listed:
    """Conda packages in the environments that are seen.

    What none of them has is looked for in the channels of `primary_namespace`, for a developer
    there. `GET /channel/package/` asks channels alone. There are no summaries.
    """
    span = query.span()
    search, exact = query.name()
    part = listing.packages(
        site().context.catalog.database,
        visitor(),
        search=search,
        exact=exact,
        build=query.build,
        distinct=query.distinct_on,
        span=span,
    )
    if not part.total and (search or exact) and not query.build:
        return Listed.cut(_unused(search, exact), span, shapes.package)
    return Listed.of(part, tuple(shapes.package(p) for p in part.items), span)


def _unused(search: str, exact: str) -> tuple[Package, ...]:
    """A page asks as one types: where too much is asked, or nothing may be, nothing is found."""
    wanted, namespace = query_of(exact or search, exact=bool(exact)), primary(visitor())
    if wanted is None or namespace not in workplaces() or not visitor().signed_in:
        return ()
    try:
        guard.seldom()
        return found_in(namespace, wanted)
    except (Busy, Conflict):
        return ()


def of_channels(query: ChannelQuery) -> Listed:
    """What the channels of a namespace have, as the solver sees them, for a developer there.

    `search` is a part of the name: the newest of each package, at most 100. `exact` is a whole
    name: every version of it, the newest first.
    """
    span = query.span(whole=True)
    wanted = query_of(query.exact or query.search, exact=bool(query.exact))
    if wanted is None:
        raise BadRequest("no package can be called so", hint="give `search` or `exact`, of names")
    return Listed.cut(found_in(query.namespace, wanted), span, shapes.package)


def settings(namespace: str = "", name: str = "") -> dict[str, Any]:
    """What holds in a namespace, in conda-store's words. It is changed in the config file."""
    if not namespace:
        need_all(Role.ADMIN, "*")
    elif name:
        need(Role.ADMIN, EnvKey(namespace, name))
    else:
        need_all(Role.ADMIN, namespace)
    it = site().context.settings
    of = it.namespace(namespace) if namespace else it.defaults
    return {
        "conda_channel_alias": it.network.alias,
        "conda_default_channels": of.channels,
        "conda_allowed_channels": of.allowed_channels,
        "conda_platforms": of.platforms,
        "conda_required_packages": of.packages.required,
        "conda_included_packages": of.packages.included,
        "conda_max_solve_time": of.solve.timeout,
        "pypi_default_packages": (),
        "storage_threshold": it.space.floor,
        "solver": of.solve.solver,
        "constrained_packages": of.packages.constrained,
        "build_timeout": of.limits.timeout,
        "keep_last": of.retention.keep_last,
        "keep_days": of.retention.keep_days,
        "quota_disk": of.quota.disk,
        "quota_builds": of.quota.builds,
        "archives": of.archives,
        "description": of.description,
    }
