"""Which commit a source means, among all that a repository offers. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from semantic_version import SimpleSpec, Version

from envwatch.errors import SourceStalled
from envwatch.settings import SourceSettings

HEADS = "refs/heads/"
TAGS = "refs/tags/"
PEELED = "^{}"

_NAME = re.compile(
    r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)|[/.]$))(?![./])[^\x00-\x20\x7f~^:?*\[\\]+"
)
_PATTERN = re.compile(r"(?!.*(?:\.\.|//|@\{|/\.|[/.]$))(?![./-])[^\x00-\x20\x7f~^:\[\\]+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_VERSION = re.compile(
    r"[vV]?(?P<version>\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)"
)


@dataclass(frozen=True, slots=True)
class Tip:
    """What is followed now: the full name of a ref, the commit, and what the ref itself names.

    `target` is the commit, or the object of an annotated tag. A commit that was given by its id
    has no ref.
    """

    ref: str
    revision: str
    target: str


@dataclass(frozen=True, slots=True)
class Refs:
    """What `git ls-remote` answered: full names and what they point to, tags peeled as well."""

    found: Mapping[str, str]

    def tip(self, ref: str) -> Tip | None:
        """By the whole name: git itself matches from the end, where `main` also finds `a/main`."""
        target = self.found.get(ref)
        return Tip(ref, self.found.get(ref + PEELED, target), target) if target else None

    def below(self, prefix: str) -> Iterator[str]:
        """The names that start with a prefix, without it."""
        for name in self.found:
            if name.startswith(prefix) and not name.endswith(PEELED):
                yield name.removeprefix(prefix)


def parse(answer: bytes) -> Refs:
    """The lines of `git ls-remote`. What is no ref of the usual form is left out."""
    found = {}
    # not splitlines: a ref may hold what Unicode takes for the end of a line
    for line in answer.decode(errors="replace").split("\n"):
        oid, tab, name = line.partition("\t")
        if tab and _OID.fullmatch(oid):
            found[name] = oid
    return Refs(found)


def check(source: SourceSettings) -> None:
    """Refuse what can never name a commit. Raises SourceStalled."""
    if source.commit and not _COMMIT.fullmatch(source.commit):
        raise SourceStalled(
            f"{source.commit!a} is not the whole id of a commit", hint="write all its 40 digits"
        )
    if source.ref and not source.ref.startswith("refs/"):
        raise SourceStalled(
            f"{source.ref!a} is not the full name of a ref", hint="write it so: `refs/heads/main`"
        )
    if source.semver:
        _range(source.semver)
    full_ref(source.ref or source.branch)
    full_ref(source.tag)
    for pattern, _ in source.branches:
        if not _PATTERN.fullmatch(pattern):
            raise SourceStalled(f"{pattern!a} is not a pattern of branches", hint="as `release/*`")
    for pattern in source.previews.refs if source.previews else ():
        if not _PATTERN.fullmatch(pattern) or not re.match(r"refs/[^*?]+/.*\*", pattern):
            raise SourceStalled(
                f"{pattern!a} is not a pattern of refs", hint="as `refs/pull/*/head`"
            )


def full_ref(branch: str) -> str:
    """`refs/heads/<branch>`; a name that starts with `refs/` is taken as it is."""
    if not branch:
        return "HEAD"
    if not _NAME.fullmatch(branch):
        raise SourceStalled(f"{branch!a} is not the name of a branch", hint="compare `branch`")
    return branch if branch.startswith("refs/") else HEADS + branch


def resolve(source: SourceSettings, refs: Refs, place: str) -> Tip:
    """The commit that a source follows now. Raises SourceStalled where there is none."""
    if source.commit:
        return Tip("", source.commit, source.commit)
    tip = _newest(source.semver, refs) if source.semver else refs.tip(_ref(source))
    if tip is None:
        raise _missing(source, refs, place)
    return tip


def wanted(source: SourceSettings) -> tuple[str, ...]:
    """The patterns of the refs that must be asked for; none where the commit is given."""
    if source.commit:
        return ()
    if source.semver:
        return (f"{TAGS}*",)
    if source.is_family:
        return source.previews.refs if source.previews and source.base else (f"{HEADS}*",)
    return (_ref(source), _ref(source) + PEELED)


def match(pattern: str, branch: str) -> str | None:
    """What the wildcards of a pattern stand for in the name of a ref; None where it differs.

    `*` stands for any characters, slashes too. Several wildcards are joined by a dash.
    """
    parts = {"*": "(.*)", "?": "(.)"}
    expression = "".join(parts.get(c, re.escape(c)) for c in pattern)
    found = re.fullmatch(expression, branch)
    return "-".join(found.groups()) if found else None


def _ref(source: SourceSettings) -> str:
    return source.ref or (TAGS + source.tag if source.tag else full_ref(source.branch))


def _range(text: str) -> SimpleSpec:
    # npm's way to write ranges; the library's own NpmSpec lets `<2.0.0` match 2.0.0
    parts = [re.sub(r"(?<=\.)[xX]\b", "*", part) for part in re.split(r"[\s,]+", text.strip())]
    try:
        return SimpleSpec(",".join(parts))
    except ValueError as e:
        raise SourceStalled(
            f"{text!a} is not a range of versions", hint="write for example `>=1.2 <2` or `1.x`"
        ) from e


def _newest(text: str, refs: Refs) -> Tip | None:
    """The tag with the highest version in a range; `v1.2` counts as 1.2.0.

    A version such as 2.0.0-rc.1 counts only where the range names one.
    """
    allowed = _range(text)
    versions = []
    for tag in refs.below(TAGS):
        version = _version(tag)
        if version is not None and version in allowed and ("-" in text or not version.prerelease):
            versions.append((version.precedence_key, tag))
    return refs.tip(TAGS + max(versions)[1]) if versions else None


def _version(tag: str) -> Version | None:
    found = _VERSION.fullmatch(tag)
    try:
        return Version.coerce(found["version"]) if found else None
    except ValueError:
        return None


def _missing(source: SourceSettings, refs: Refs, place: str) -> SourceStalled:
    if source.semver:
        return SourceStalled(
            f"`{place}` has no tag in the range `{source.semver}`", hint="compare `semver`"
        )
    if source.tag or source.ref:
        kind, name = ("tag", source.tag) if source.tag else ("ref", source.ref)
        return SourceStalled(
            f"`{place}` has no {kind} `{name}`", hint=f"compare `{kind}`, or push it"
        )
    if source.branch:
        return SourceStalled(
            f"`{place}` has no branch `{source.branch}`", hint="compare `branch`, or push it"
        )
    if any(refs.below(HEADS)):
        return SourceStalled(
            f"the HEAD of `{place}` names a branch that is not there", hint="name one in `branch`"
        )
    return SourceStalled(f"`{place}` has no commit yet", hint="push a first commit")
