"""The verbs of the control socket about edits of files, and about tokens."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from envwatch import grants
from envwatch.access import HOST, read_pattern, read_patterns
from envwatch.daemon.actions import DaemonActions
from envwatch.daemon.parts import Parts, make_namespace
from envwatch.edit import Edit, Edited
from envwatch.errors import Conflict
from envwatch.grants import Given
from envwatch.model import EnvKey
from envwatch.settings import Grant, Role
from envwatch.spec import valid_name
from envwatch.web.actions import Planned

Answer = dict[str, Any]

EDITED = TypeAdapter(Edited)
PLANNED = TypeAdapter(Planned)


class EditCommands:
    """One method for each verb, as in `Commands`."""

    _parts: Parts

    def file(self, namespace: str, name: str) -> Answer:
        """The file of an environment now, and the revision to name with an edit of it."""
        return asdict(self._parts.editor.read(EnvKey(namespace, name)))

    def edit(self, wanted: Edit) -> Answer:
        """Change, make or (without a text) remove one file by a commit.

        Whoever owns the root may change every environment.
        """
        made = self._parts.editor.edit(replace(wanted, may=lambda _: True))
        answer: Answer = EDITED.dump_python(made, mode="json")
        return answer

    def propose(self, namespace: str, text: str, path: str) -> Answer:
        """What a file would come to: solved, with nothing of it done."""
        found = DaemonActions(self._parts).plan(namespace, text, path)
        answer: Answer = PLANNED.dump_python(found, mode="json", exclude={"key"})
        return {**answer, "environment": str(found.key) if found.key else None}

    def create_namespace(self, name: str, by: str) -> Answer:
        """A namespace with a managed repository, to which people push and commit."""
        make_namespace(self._parts, name, by=by)
        address = self._parts.settings().web.address
        return {"namespace": name, "clone": f"{address}/git/{name}.git"}

    def grant(self, pattern: str, role: str, by: str, user: str = "", group: str = "") -> Answer:
        """Give a person or a group a role, in place of another one that they had there."""
        made = Grant(read_pattern(pattern), Role(role))
        wanted = Given(made, user, group)
        given = grants.grant(self._parts.catalog, replace(HOST, name=by), wanted)
        return {"pattern": made.pattern, "role": role, "user": given.user, "group": given.group}

    def ungrant(self, pattern: str, by: str, user: str = "", group: str = "") -> Answer:
        """Take back what was granted here; what the config grants stays."""
        whole = read_pattern(pattern)
        wanted = Given(Grant(whole, Role.VIEWER), user, group)
        grants.revoke(self._parts.catalog, replace(HOST, name=by), wanted)
        return {"pattern": whole, "user": user, "group": group, "revoked": True}

    def create_token(
        self,
        name: str,
        namespaces: str,
        role: str,
        by: str,
        seconds: float = 0.0,  # named by its caller
    ) -> Answer:
        """A token with its secret, told this once. It ends after so many seconds, or never."""
        if not valid_name(name):
            hint = "letters, digits, `.`, `_` and `-`; at most 64, the first a letter or digit"
            raise Conflict(f"{name[:80]!a} cannot be the name of a token", hint=hint)
        end = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None
        made = self._parts.catalog.tokens.create(
            name, read_patterns(namespaces), role=Role(role), by=by, expires_at=end
        )
        return {
            "name": name,
            "namespaces": list(made.token.namespaces),
            "role": role,
            "expires_at": end.isoformat().replace("+00:00", "Z") if end else None,
            "token": made.secret,
        }

    def revoke_token(self, name: str = "", owner: str = "") -> Answer:
        held = self._parts.catalog.tokens.revoke(name, owner=owner or None)
        return {"name": name, "owner": owner, "revoked": True, "held": held}
