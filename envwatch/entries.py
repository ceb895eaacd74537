"""The rules for single entries of an environment file: names, packages, channels, variables.

Each check raises a SpecError that names no place: the reader of the file adds line and column.
Our own grammar, because conda's and rattler's take `num py >=1` and guess what it means.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envwatch.errors import SpecError
from envwatch.redact import has_credentials, redact
from envwatch.selectors import PLATFORMS
from envwatch.yamltext import RENDER, TEMPLATE, shown

SUBDIRS = (*PLATFORMS, "noarch")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST = 512
MAX_BRACKETS = 16

_PACKAGE = r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)"
_URL = r"(?:https?|file|oci|s3|gcs)://[^\s\[\]]+"
_CHANNEL = rf"(?:(?P<channel>[A-Za-z0-9][A-Za-z0-9._/-]*|{_URL})::)?"
_NUMBER = (
    r"(?:\d+!)?{first}[0-9A-Za-z]*(?:[._][0-9A-Za-z]+)*_?(?:\+[0-9A-Za-z]+(?:[._][0-9A-Za-z]+)*)?"
)
_VERSION = (
    rf"(?:(?:[=!~]=|[<>]=?|=)\s*{_NUMBER.format(first='[0-9A-Za-z]')}(?:\.?\*)?"
    rf"|{_NUMBER.format(first='[0-9]')}(?:\.?\*)?|={{0,2}}\*)"
)
_ALL_OF = rf"{_VERSION}(?:\s*[,|]\s*{_VERSION})*"
_ITEM = rf"(?:{_VERSION}|\({_ALL_OF}\))"
_VERSIONS = rf"{_ITEM}(?:\s*[,|]\s*{_ITEM})*"
_BUILD = r"(?!\S*\*\*)[A-Za-z0-9_.*+]+"
VERSIONS = re.compile(_VERSIONS)
BUILD = re.compile(_BUILD)
DEPENDENCY = re.compile(
    # a version follows a space or begins with its operator: `python3.9` is all name
    rf"{_CHANNEL}{_PACKAGE}(?:(?:\s+|(?=[=<>!~]))(?P<version>{_VERSIONS})"
    rf"(?:(?:=|\s+)(?P<build>{_BUILD}))?)?\s*(?P<options>\[[^\[\]]*\])?"
)
OPTION = re.compile(r"\s*([a-z0-9_]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^,\"']*))\s*(?:,|$)")
OPTIONS = (
    "version",
    "build",
    "build_number",
    "channel",
    "subdir",
    "url",
    "md5",
    "sha256",
    "license",
)
PACKAGE_URL = re.compile(
    r"(?:https?|file)://[^\s#]+/(?P<file>[^/\s#]+)(?:\.conda|\.tar\.bz2)(?:#[0-9a-f:]+|#sha\d+[:=][0-9a-f]+)?"
)
VCS = re.compile(r"(?:^|[\s@])(git|hg|svn|bzr)\+", re.IGNORECASE)
PIP_FILE = re.compile(r"\.(whl|tar\.gz|tar\.bz2|zip)$", re.IGNORECASE)

REVOKE = (
    "take it out and have it replaced, for all who can read this file have it; "
    "envwatch reads credentials from the files that its config names"
)
INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host")
PIP_REMEDIES = (
    (("-r", "--requirement"), "list the packages of that file here"),
    (("-e", "--editable"), "build a wheel of it, and name its release here"),
    (("-c", "--constraint"), "write the versions here"),
    (INDEX_OPTIONS, "the index is set by `pip` in envwatch's config"),
)

# how a dependency that the grammar refuses is recognised, and what to say of it
MISTAKES = (
    (r"-", "is an option, not a package", "write only names and versions of packages"),
    (r"[./~\\]|file:|[A-Za-z]:\\", "is a path, not a package", "name a package of a channel"),
    (r".*\.(conda|tar\.bz2)$", "is the file of a package", "write `name=version=build`"),
    (r"[a-z+]+://", "is not the address of a package", "it must end in `.conda` or `.tar.bz2`"),
    (r"[\d.*]+$", "is a version without a package", "write `name=version`"),
    (r".*\s@", "is a pip requirement", "move it into the `pip:` list"),
    (r"[^;]*;", "has a marker, which only pip understands", "move it into the `pip:` list"),
    (r"[\w.-]+\s*===", "has `===`, which only pip understands", "write `==`"),
    (r"[\w.-]+\s+[A-Za-z]", "is more than one word", "one package per line, as `name=version`"),
    (r".*[<>=!~,|]\s*$", "ends where something should follow", "write the version, or nothing"),
    (r".*\s=\s*\S+\s*$", "has a space before its build", "write `name=version=build`"),
    (r"[^\s]+\s*[<>=!~]+\s*[\w.*]+\s+[<>=!~]", "has two versions", "put a `,` between them"),
)

# These decide what a shell, the loader or an interpreter runs before any package is looked at.
RESERVED_VARIABLES = frozenset(
    [
        "PATH",
        "HOME",
        "SHELL",
        "USER",
        "LOGNAME",
        "IFS",
        "ENV",
        "BASH_ENV",
        "SHELLOPTS",
        "BASHOPTS",
        "PROMPT_COMMAND",
        "PS4",
        "CDPATH",
        "PYTHONSTARTUP",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONUSERBASE",
        "PYTHONEXECUTABLE",
        "PYTHONINSPECT",
        "PYTHONBREAKPOINT",
        "PYTHONPLATLIBDIR",
        "PYTHONWARNINGS",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "RUBYLIB",
        "NODE_OPTIONS",
        "NODE_PATH",
        "GCONV_PATH",
        "LOCPATH",
        "CONDA_PREFIX",
        "CONDA_EXE",
        "CONDA_PYTHON_EXE",
        "CONDA_SHLVL",
        "CONDA_DEFAULT_ENV",
    ]
)
RESERVED_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "GIT_")


def valid_name(text: str) -> bool:
    """May an environment or a namespace be called so?"""
    return NAME.fullmatch(text) is not None and not text.endswith((".", ".lock"))


def check_name(text: str) -> None:
    if valid_name(text):
        return
    if TEMPLATE.search(text):
        raise SpecError(f"`{shown(text)}` is a template", hint=RENDER)
    hint = "up to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit"
    better = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-").removesuffix(".lock")
    if re.fullmatch(r"[A-Za-z0-9._ +@-]+", text) and valid_name(better):
        hint = f"for example `{better}`: {hint}"
    raise SpecError(f"`{shown(text)}` cannot be the name of an environment", hint=hint)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str:
    """The known word that was probably meant, or nothing."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def normal(text: str) -> str:
    """A dependency with its meaningless spaces and capitals taken out, for comparing."""
    text = re.sub(r"\s*([=<>!~|,]+)\s*", r"\1", " ".join(text.split()))
    found = DEPENDENCY.fullmatch(text)
    if found is None:
        return text
    start, end = found.span("name")
    return text[:start] + text[start:end].lower() + text[end:]


def package_name(text: str) -> str:
    """The package that a dependency names, in small letters."""
    if found := PACKAGE_URL.fullmatch(text.strip()):
        return str(found["file"].rsplit("-", 2)[0])
    found = DEPENDENCY.fullmatch(text.strip())
    return str(found["name"]).lower() if found else text


def channels_of(text: str) -> tuple[str, ...]:
    """The channels that a dependency insists on: `channel::name`, `name[channel=…]`."""
    found = DEPENDENCY.fullmatch(text.strip())
    if found is None:
        return ()
    named = [found["channel"]] if found["channel"] else []
    named += [value for key, value in _options(found["options"]) if key == "channel"]
    return tuple(_without_subdir(channel) for channel in named)


def _without_subdir(channel: str) -> str:
    head, _, last = channel.rpartition("/")
    return head if head and last in SUBDIRS else channel


def package_urls_of(text: str) -> tuple[str, ...]:
    """The addresses of package files in a dependency: itself, or `name[url=…]`."""
    found = DEPENDENCY.fullmatch(text.strip())
    if found is None:
        return (text.strip(),)
    return tuple(value for key, value in _options(found["options"]) if key == "url")


def _options(options: str | None) -> tuple[tuple[str, str], ...]:
    inside = (options or "[]")[1:-1]
    return tuple((m[1], (m[2] or m[3] or m[4] or "").strip()) for m in OPTION.finditer(inside))


def normal_pip(text: str) -> str:
    """A pip requirement in the one spelling that all equal ones share."""
    requirement = Requirement(text)
    requirement.name = canonicalize_name(requirement.name)
    return str(requirement)


def pip_name(text: str) -> str:
    """The package that a pip requirement names, in the spelling that all equal ones share."""
    return canonicalize_name(Requirement(text).name)


# ---------------------------------------------------------------- all entries


def check_text(text: str) -> None:
    """What no entry may hold, of whatever kind; a secret is never repeated."""
    if not text.strip():
        raise SpecError("an empty entry", hint="remove it")
    if len(text) > LONGEST:
        raise SpecError(f"an entry of {len(text)} characters, at most {LONGEST} are read")
    if "://" in text and has_credentials(text):
        raise SpecError("an address that holds a password or token", hint=REVOKE)
    if TEMPLATE.search(text):
        raise SpecError(f"`{shown(text)}` is a template", hint=RENDER)
    if "$" in text:
        hint = "variables are not replaced: write the value itself"
        raise SpecError(f"`$` is not allowed in `{shown(text)}`", hint=hint)


# ---------------------------------------------------------------- conda


def check_dependency(text: str) -> None:
    check_text(text)
    text = text.strip()
    if PACKAGE_URL.fullmatch(text):
        return
    found = DEPENDENCY.fullmatch(text)
    if found is None or _misread(found):
        problem, hint = _mistake(text)
        raise SpecError(f"`{shown(redact(text))}` {problem}", hint=hint)
    if found["options"]:
        _check_options(found["options"], text)


def _misread(found: re.Match[str]) -> bool:
    """Is the name no name: a number, or a file?"""
    name = found["name"]
    return not re.search("[A-Za-z]", name) or name.endswith((".conda", ".tar.bz2"))


def _mistake(text: str) -> tuple[str, str]:
    """What is wrong with a dependency, and what to write instead."""
    for pattern, problem, hint in MISTAKES:
        if re.match(pattern, text):
            return problem, hint
    return (
        "is not a package and its version",
        "for example `numpy`, `numpy=1.26`, `numpy >=1.20,<2`",
    )


def _check_options(options: str, entry: str) -> None:
    """`[build=mkl, version=">=1"]`: known keys, each with a value of its own grammar."""
    if OPTION.sub("", options[1:-1]).strip() or not _options(options):
        hint = "conda packages have no extras: move it into the `pip:` list"
        raise SpecError(f"`{shown(entry)}` has `[…]` without `key=value`", hint=hint)
    for key, value in _options(options):
        _check_option(key, value, entry)


def _check_option(key: str, value: str, entry: str) -> None:
    if key not in OPTIONS:
        near = nearest(key, OPTIONS)
        hint = f"did you mean `{near}`?" if near else f"known are {', '.join(OPTIONS)}"
        raise SpecError(f"`{shown(entry)}` has the unknown key `{shown(key)}`", hint=hint)
    grammar = {"version": VERSIONS, "build": BUILD}.get(key)
    if not value.strip() or (grammar and not grammar.fullmatch(value.strip())):
        raise SpecError(f"`{shown(entry)}`: `{shown(value)}` is not a {key}")


# ---------------------------------------------------------------- pip


def check_pip(text: str) -> None:
    """One line of `pip:` is a requirement as PEP 508 has it, and nothing else."""
    check_text(text)
    text = text.strip()
    if option := re.search(r"(?:^|\s)(--?[A-Za-z][\w-]*)", text):
        raise _pip_option(option[1])
    if kind := VCS.search(text):
        hint = "name a release of it, or write `name @ https://….whl` for a wheel that you built"
        raise SpecError(f"`{shown(text)}` comes from {kind[1]}, which cannot be locked", hint=hint)
    if re.match(r"[./~\\]|file:|[A-Za-z]:\\", text) or (PIP_FILE.search(text) and "@" not in text):
        hint = "name its release, or write `name @ https://….whl` for a wheel on a server"
        raise SpecError(f"`{shown(text)}` is a file or folder, not a requirement", hint=hint)
    if text.count("(") > MAX_BRACKETS:  # the parser of markers recurses
        raise SpecError(f"`{shown(text)}` has more than {MAX_BRACKETS} brackets")
    requirement = _requirement(text)
    if requirement.url:
        _check_pip_url(requirement.url, text)


def _requirement(text: str) -> Requirement:
    if single := re.fullmatch(r"([\w.-]+)\s*=\s*([\w.*]+)", text):
        hint = f"write `{single[1]}=={single[2]}`"
        raise SpecError(f"`{shown(text)}` has one `=`, where pip wants two", hint=hint)
    try:
        return Requirement(text)
    except InvalidRequirement as e:
        problem = f"`{shown(text)}` is not a pip requirement: {_first_line(e)}"
        raise SpecError(
            problem, hint="for example `httpx`, `httpx==0.28.1`, `httpx[http2]>=0.27`"
        ) from e


def _first_line(error: InvalidRequirement) -> str:
    line = shown(str(error).split("\n")[0], longest=120)
    return line[:1].lower() + line[1:]


def _pip_option(option: str) -> SpecError:
    remedy = next((hint for options, hint in PIP_REMEDIES if option in options), "")
    hint = remedy or "write only names and versions of packages"
    return SpecError(f"the pip option `{shown(option)}` is not read", hint=hint)


def _check_pip_url(url: str, text: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as e:
        raise SpecError(f"`{shown(text)}` has no address that can be read") from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        hint = "only `https://` addresses of wheels can be used"
        raise SpecError(f"`{shown(text)}` is not fetched over https", hint=hint)
    if not PIP_FILE.search(parts.path):
        raise SpecError(f"`{shown(text)}` is not the address of a wheel", hint="it ends in `.whl`")


# ---------------------------------------------------------------- channels and variables


def check_channel(text: str) -> None:
    """Only what no channel can be; which ones may be used is for the policy to say."""
    check_text(text)
    if re.search(r"[\s\\\"'<>]", text) or not text.isascii() or text.startswith("-"):
        hint = "a name such as `conda-forge`, or an `https://` address"
        raise SpecError(f"`{shown(text)}` is not a channel", hint=hint)


def check_variable(name: str) -> None:
    if not VARIABLE.fullmatch(name):
        hint = "letters, digits and `_`, the first not a digit"
        raise SpecError(f"`{shown(name)}` cannot be the name of a variable", hint=hint)
    if name.upper() in RESERVED_VARIABLES or name.upper().startswith(RESERVED_PREFIXES):
        hint = "it would change what runs before the environment does; set it where it is needed"
        raise SpecError(f"the variable `{shown(name)}` may not be set here", hint=hint)
