"""What somebody may see, as a condition for queries: the one place where lists are narrowed."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, false, or_

from envwatch.access import Visitor
from envwatch.catalog import schema

ENV = schema.environment.c


def seen(who: Visitor) -> ColumnElement[bool]:
    """The environments that somebody may see; every role is a viewer at least."""
    # GLOB knows `*` as fnmatch does; patterns hold no other sign that it takes for special
    patterns = {g.pattern for g in who.grants}
    pairs = [(p.partition("/")[0], p.partition("/")[2] or "*") for p in sorted(patterns)]
    each = [and_(ENV.namespace.op("GLOB")(ns), ENV.name.op("GLOB")(name)) for ns, name in pairs]
    return or_(false(), *each)
