"""A source with `previews`: which sources it becomes, one for each open request to merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from envwatch.git.refs import Refs, match
from envwatch.model import Level, Message, PullRequest
from envwatch.settings import ForgeSettings, Previews, SourceSettings
from envwatch.sources.branches import Gathered, slug

# asks a forge which requests are open. Raises SourceError
Requests = Callable[[ForgeSettings], tuple[PullRequest, ...]]


def nobody(_: ForgeSettings) -> tuple[PullRequest, ...]:
    """For sources of which none has a forge."""
    return ()


def gather(settings: SourceSettings, refs: Refs, requests: Requests) -> Gathered:
    """One source for each request, the newest first; of those that the forge calls open, if asked.

    Raises SourceError where the forge does not say.
    """
    said = settings.previews or Previews()
    found = _found(said, refs)
    known: Mapping[str, PullRequest] = {}
    if settings.forge is not None and found:
        known = {str(r.number): r for r in requests(settings.forge) if _is_ours(settings, r)}
        found = {number: ref for number, ref in found.items() if number in known}
    newest = sorted(found, key=_age)
    members = tuple(
        _member(settings, number, found[number], known.get(number))
        for number in newest[: said.most]
    )
    return Gathered(members, left=_left(settings, said, len(newest) - len(members)))


def _found(said: Previews, refs: Refs) -> dict[str, str]:
    """The ref of each request, by its number; of several patterns the first counts."""
    found: dict[str, str] = {}
    for pattern in said.refs:
        for ref in refs.found:
            wild = match(pattern, ref)
            if wild:
                found.setdefault(slug(wild), ref)
    return found


def _age(number: str) -> tuple[int, str]:
    """Sorts the newest first: numbers count upwards."""
    return (-int(number) if number.isdecimal() else 0, number)


def _is_ours(settings: SourceSettings, request: PullRequest) -> bool:
    """Where the branch that is followed has no name, all requests may be for it."""
    branch = settings.branch.removeprefix("refs/heads/")
    return not branch or not request.target or request.target == branch


def _member(
    settings: SourceSettings, number: str, ref: str, request: PullRequest | None
) -> SourceSettings:
    return replace(
        settings,
        name=f"{settings.base}@pr-{number}",
        rename=f"{{name}}-pr-{number}",
        branch="",
        ref=ref,
        family=settings.name,
        request=int(number) if number.isdecimal() else 0,
        title=_told(request) if request else "",
        link=request.url if request else "",
    )


def _told(request: PullRequest) -> str:
    by = f" by {request.author}" if request.author else ""
    return f"{request.title}{by}"


def _left(settings: SourceSettings, said: Previews, count: int) -> tuple[Message, ...]:
    if count <= 0:
        return ()
    text = f"{count} older requests are not previewed: `previews.most` is {said.most}"
    hint = "" if settings.forge else "with `forge` the closed ones are left out"
    return (Message(Level.NOTE, text, path=said.refs[0], hint=hint),)
