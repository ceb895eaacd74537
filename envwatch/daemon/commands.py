"""The verbs of the control socket. The command line uses the same ones when no daemon runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError, validate_call

from envwatch.access import HOST
from envwatch.catalog.records import BuildRecord, EnvironmentRecord
from envwatch.daemon.edit_commands import EditCommands
from envwatch.daemon.parts import Parts
from envwatch.errors import Conflict, NotFound
from envwatch.model import BuildState, EnvKey, FileState
from envwatch.sources.family import Family
from envwatch.views import pages
from envwatch.worker import chores
from envwatch.worker.preview import Preview, preview

Answer = dict[str, Any]

# what changes something; an edit is a commit besides, and grants are noted where they are made
AUDITED = frozenset(
    ("rebuild", "update", "cancel", "activate", "hold", "release", "pin", "confirm_empty",
     "create_namespace", "create_token", "revoke_token")
)  # fmt: skip
PLACES = ("environment", "pattern", "namespace", "namespaces")
PREVIEWS = TypeAdapter(tuple[Preview, ...])


class Commands(EditCommands):
    """One method for each verb; arguments and answers are JSON."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, verb: str, arguments: Mapping[str, Any]) -> Answer:
        """Raises NotFound for an unknown verb and Conflict for arguments that do not fit."""
        method: Callable[..., Answer] | None = None
        if verb.isidentifier() and not verb.startswith("_") and verb != "run":
            method = getattr(self, verb, None)
        if method is None:
            raise NotFound(f"the daemon knows no `{verb}`", hint="is it an older envwatch?")
        try:
            answer = validate_call(method)(**arguments)
        except ValidationError as e:
            problem = e.errors(include_url=False, include_input=False)[0]
            raise Conflict(f"{verb}: {problem['loc']}: {problem['msg']}") from e
        if verb in AUDITED:
            self._note(verb, arguments)
        return answer

    def _note(self, verb: str, arguments: Mapping[str, Any]) -> None:
        """Who did what on the host, in the words of the verb."""
        places = ("name",) if verb == "create_namespace" else PLACES
        place = next((str(arguments[k]) for k in places if arguments.get(k)), "")
        namespace, _, name = place.partition("/")
        told = (*places, *PLACES, "by", "wanted")
        rest = {k: v for k, v in arguments.items() if k not in told and v}
        detail = ", ".join(f"{k} {v}" for k, v in rest.items())
        who = replace(HOST, name=str(arguments.get("by") or HOST.name))
        self._parts.catalog.audits.note(
            who, verb.replace("_", " "), EnvKey(namespace, name), detail
        )

    def rebuild(self, environment: str, by: str, generation: int | None = None) -> Answer:
        operations = self._parts.operations
        return _build(operations.rebuild(key_of(environment), by=by, generation=generation))

    def update(self, environment: str, by: str) -> Answer:
        return _build(self._parts.operations.update(key_of(environment), by=by))

    def cancel(self, build: int, by: str) -> Answer:
        return _build(self._parts.operations.cancel(build, by=by))

    def activate(self, environment: str, generation: int, by: str) -> Answer:
        key = key_of(environment)
        env = self._parts.operations.activate(key, generation, by=by)
        # that a candidate was taken must outlive the catalog
        self._parts.publisher.keep(self._parts.catalog.generations.get(key, generation))
        return _env(env)

    def hold(self, environment: str, by: str, generation: int | None = None) -> Answer:
        return _env(self._parts.operations.hold(key_of(environment), generation, by=by))

    def release(self, environment: str, by: str) -> Answer:
        return _env(self._parts.operations.release(key_of(environment), by=by))

    def pin(self, environment: str, generation: int, pinned: bool) -> Answer:  # named by its caller
        key = key_of(environment)
        self._parts.operations.pin(key, generation, pinned=pinned)
        # a pin is a promise: it must outlive the catalog
        self._parts.publisher.keep(self._parts.catalog.generations.get(key, generation))
        return {"environment": environment, "generation": generation, "pinned": pinned}

    def archive(self, environment: str, generation: int | None = None) -> Answer:
        """Have the archives of a generation made, of the current one where none is named."""
        key = key_of(environment)
        number = generation or self._parts.catalog.generations.environment(key).current
        if number is None:
            raise Conflict(f"{key}: there is no generation yet")
        state = self._parts.operations.ask_archive(key, number)
        return {"environment": environment, "generation": number, "archive": state.value}

    def sync(self, source: str, wait: bool = False) -> Answer:  # named by its caller
        """Look at a source; with `wait` now, and say what of it is not built.

        `builds` are those that run, wait or failed; `refused` says why files were refused.
        """
        self._parts.operations.sync(source)
        if not wait:
            return {"source": source}
        self._parts.look(source, force=True)
        files = pages.source(self._parts.catalog, source).source.files
        refused = [str(f.messages[0]) for f in files if f.state is FileState.REFUSED]
        return {"source": source, "builds": self._unbuilt(source), "refused": refused}

    def _unbuilt(self, source: str) -> list[int]:
        """The newest build of each environment whose ask has not come to a generation."""
        builds = self._parts.catalog.builds
        newest = [
            build
            for env in self._parts.catalog.generations.environments()
            if env.source == source
            for build in builds.of(env.id, limit=1)
            if build.ask == env.ask
        ]
        return [b.id for b in newest if b.state is not BuildState.READY]

    def plan(self, source: str = "") -> Answer:
        """What a look at one source, or at all of them, would change; nothing of it is done."""
        names = self._plannable(source)
        previews = tuple(preview(self._parts.worker, self._parts.plan(name)) for name in names)
        return {"sources": PREVIEWS.dump_python(previews, mode="json")}

    def _plannable(self, source: str) -> list[str]:
        """A source, the branches of one, or all that have files. Raises NotFound, SourceError."""
        if source and self._parts.roster.get(source) is None:
            raise NotFound(f"there is no source `{source}`", hint="see `envwatch source list`")
        for family in self._parts.roster.all():
            if isinstance(family, Family) and source in ("", family.name):
                self._parts.look(family.name)
        chosen = self._parts.roster.all()
        return [
            s.name
            for s in chosen
            if not isinstance(s, Family) and source in ("", s.name, s.settings.family)
        ]

    def confirm_empty(self, source: str) -> Answer:
        self._parts.operations.confirm_empty(source)
        self._parts.look(source, force=True)
        return {"source": source}

    def gc(self, dry_run: bool = False) -> Answer:  # named by its caller
        verdicts = chores.prune(self._parts.worker, dry_run=dry_run)
        return {
            "dry_run": dry_run,
            "generations": [
                {
                    "environment": str(v.key),
                    "generation": v.number,
                    "prefix": str(v.prefix),
                    "goes": v.goes,
                    "reason": v.reason,
                }
                for v in verdicts
            ],
        }

    def verify(self, environment: str = "") -> Answer:
        generations = self._parts.catalog.generations
        chosen = {env.id for env in self._chosen(environment, retired=True)}
        whole = [g for g in generations.all() if g.environment_id in chosen and g.pruned_at is None]
        damaged = chores.verify(self._parts.worker, whole)
        return {"checked": len(whole), "damaged": damaged}

    def repair(self, environment: str = "") -> Answer:
        queued = {
            str(env.key): build
            for env in self._chosen(environment)
            if (build := chores.repair(self._parts.worker, env)) is not None
        }
        return {"queued": queued}

    def notify_test(self, notifier: str) -> Answer:
        """Send a message to one notifier, and say what came back."""
        return {"notifier": notifier, "said": self._parts.teller.test(notifier)}

    def _chosen(self, environment: str, *, retired: bool = False) -> tuple[EnvironmentRecord, ...]:
        """The one that is named, or all. Raises NotFound."""
        generations = self._parts.catalog.generations
        if environment:
            return (generations.environment(key_of(environment)),)
        return generations.environments(retired=retired)


def key_of(text: str) -> EnvKey:
    """`namespace/name` → key. Raises NotFound."""
    namespace, slash, name = text.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise NotFound(f"`{text}` is not an environment", hint="write `namespace/name`")
    return EnvKey(namespace, name)


def _build(build: BuildRecord) -> Answer:
    return {"build": build.id, "environment": str(build.key), "state": build.state.value}


def _env(env: EnvironmentRecord) -> Answer:
    return {"environment": str(env.key), "current": env.current, "held": env.held}
