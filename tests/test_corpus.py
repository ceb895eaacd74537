"""Real and hostile environment files: each is understood, ignored, or refused in known words.

`data/corpus.tsv` holds, for each real file, its path in its repository, the outcome, whether conda
itself accepts it (a mapping with a list of texts and at most a `pip:` list, which may hold
anything), what is said of the file, and what the policy of an empty config says of its channels.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from envwatch.errors import SpecError
from envwatch.model import Message, Spec
from envwatch.policy import channel_urls, check_pip_urls
from envwatch.settings import Network, PipOptions
from envwatch.spec import check, parse, valid_name

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
ENVS = CORPUS / "envs"
HOSTILE = CORPUS / "hostile"
CANARY = Path("/tmp/ENVWATCH_CANARY")

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason=f"the corpus of environment files is not at {CORPUS}"
)


def known() -> dict[str, dict[str, str]]:
    path = Path(__file__).parent / "data" / "corpus.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {row["file"]: row for row in rows}


KNOWN = known()


def outcome(name: str, path: str) -> tuple[str, str]:
    """What becomes of a file that a repository has at this path, and everything said of it."""
    data = (ENVS / name).read_bytes()
    words = " | ".join(_words(m) for m in check(data, path=path))
    try:
        spec = parse(data, path=path)
    except SpecError:
        return "refused", words
    return ("understood" if spec else "ignored"), words


def _words(message: Message) -> str:
    return str(message).removeprefix(f"{message.path}:").strip()


def policy_words(name: str, path: str) -> str:
    """What the policy of an empty config says of a file that is understood."""
    try:
        spec = parse((ENVS / name).read_bytes(), path=path)
    except SpecError:
        return ""
    try:
        apply_policy(spec)
    except SpecError as e:
        return f"{e.line}:{e.column}: {e}"
    return ""


def apply_policy(spec: Spec | None, *allowed: str) -> None:
    if spec is not None:
        check_pip_urls(spec, PipOptions())
        channel_urls(spec, default=("conda-forge",), allowed=allowed, alias=Network().alias)


def test_each_real_file_is_listed() -> None:
    assert sorted(KNOWN) == sorted(p.name for p in ENVS.glob("*.y*ml"))


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_real_file_has_its_outcome(name: str) -> None:
    row = KNOWN[name]
    assert outcome(name, row["path"]) == (row["outcome"], row["messages"])


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_policy_says_what_is_known_of_a_real_file(name: str) -> None:
    row = KNOWN[name]
    assert policy_words(name, row["path"]) == row["policy"]


def test_nine_in_ten_files_that_conda_accepts_are_understood() -> None:
    accepted = [row for row in KNOWN.values() if row["conda"] == "yes"]
    counted = Counter(row["outcome"] for row in accepted)
    assert counted["understood"] / len(accepted) >= 0.9


def test_only_few_files_are_counted_out_and_each_for_a_reason() -> None:
    out = [row["conda"] for row in KNOWN.values() if row["conda"] != "yes"]
    assert len(out) < len(KNOWN) / 8
    assert all(reason.startswith("no: ") for reason in out)


# ---------------------------------------------------------------- hostile files

# The words of each refusal; `ok` is understood, `note:` understood with these words.
ANSWERS = {
    "billion_laughs": "1:4: the anchor `&a` is not allowed",
    "nest_flow_60000": "1:17: nested more than 16 levels deep",
    "self_reference_list": "1:1: the anchor `&a` is not allowed",
    "self_reference_map": "1:1: the anchor `&a` is not allowed",
    "python_tag_apply": "1:7: the tag `tag:yaml.org,2002:python/object/apply:os.system`",
    "python_tag_name": "2:16: the tag `tag:yaml.org,2002:python/name:os.system`",
    "custom_tag": "2:15: the tag `!include` is not allowed",
    "binary_tag": "1:7: the tag `tag:yaml.org,2002:binary` is not allowed",
    "multi_document": "4:1: a second yaml document",
    "norway_name": "ok",
    "float_version": "2:29: `3.10` is a version without a package",
    "sexagesimal": "2:16: `1:30:00` is not a package and its version",
    "date_name": "ok",
    "huge_int": "3:16: a text of 20000 characters, at most 4096 are read",
    "too_large": "the file has 70061 bytes, more than the 65536 that are read",
    "empty_file": "1: the file is empty",
    "only_comment": "1: the file is empty",
    "not_a_mapping": "1:1: not an environment (it is a list)",
    "dependencies_string": "2:15: `dependencies` must be a list, not text",
    "dependencies_null": "2:14: `dependencies` must be a list, not nothing",
    "dependencies_nested_list": "2:16: a list inside `dependencies`",
    "prefix_absolute": "note: `prefix` is ignored",
    "prefix_traversal": "note: `prefix` is ignored",
    "name_traversal": "1:7: `../../etc/cron.d/x` cannot be the name of an environment",
    "name_absolute": "1:7: `/etc/passwd` cannot be the name of an environment",
    "name_newline": "1:7: `demo\\nFAKE LOG LINE level=error` cannot be the name",
    "name_xss": "1:7: `<img src=x onerror=alert(1)>` cannot be the name of an environment",
    "name_jinja": "1:7: `{{ config.SECRET_KEY }}` is a template",
    "name_option": "1:7: `--prefix=/etc` cannot be the name of an environment",
    "name_rtl": "1:7: `demo\\u202egnp.exe` cannot be the name of an environment",
    "name_reserved_dots": "1:7: `..` cannot be the name of an environment",
    "name_reserved_current": "ok",
    "name_256": "up to 64 letters",
    "dependency_option": "2:16: `--override-channels` is an option, not a package",
    "dependency_url": "2:16: the package `http://127.0.0.1:9/noarch/evil-1.0-0.conda` is not",
    "dependency_file_path": "2:16: `/etc/passwd` is a path, not a package",
    "dependency_channel_prefix": "3:16: the channel `http://127.0.0.1:9/evil` is not allowed",
    "dependency_ansi": "2:16: the character `\\x1b` is not allowed",
    "channel_file": "2:12: the channel `file:///etc` is not allowed",
    "channel_path": "2:12: the channel `../../../../etc` is a relative path",
    "channel_localhost_forms": "2:12: the channel `http://127.1/x` is not allowed",
    "channel_secret_inline": "2:12: an address that holds a password or token",
    "channel_oci_s3": "2:12: the channel `oci://127.0.0.1:9/x` is not allowed",
    "channel_many": "3:1: 500 channels, at most 16 are allowed",
    "utf16": "not UTF-8: byte 0xff at offset 0",
    "latin1": "3: not UTF-8: byte 0xe9 at offset 39",
    "tab_indent": "3:1: a tab where yaml wants spaces",
    "merge_conflict": "2:1: a git conflict marker `<<<<<<<`",
    "jinja_unrendered": "3:3: `python={{ version }}` is a template",
    "pip_extra_index": "7:5: the pip option `--extra-index-url` is not read",
    "pip_index_file_url": "7:5: the pip option `--index-url` is not read",
    "pip_editable": "7:5: the pip option `-e` is not read",
    "pip_local_path": "7:5: `./evil` is a file or folder, not a requirement",
    "pip_git_ext": "comes from git, which cannot be locked",
    "pip_url_internal": "7:5: `evil @ http://169.254.169.254/evil-1.0-py3-none-any.whl` leads to",
    "pip_env_var": "7:5: `$` is not allowed in",
    "pip_marker_bomb": "7:5: a text of 6599 characters, at most 4096 are read",
    "pip_global_option": "7:5: the pip option `--global-option` is not read",
    "pip_direct_sdist": "ok",
}


def hostile(*kinds: str) -> list[tuple[str, str]]:
    """Names and payloads of the hostile cases of some kinds; none where there is no corpus."""
    index = HOSTILE / "index.json"
    entries = json.loads(index.read_text())["entries"] if index.is_file() else []
    return [(e["name"], e["payload"]) for e in entries if e["kind"] in kinds]


def answer(data: bytes, *allowed: str) -> str:
    """What a person is told of a file called environment.yaml, by default or with a list."""
    try:
        spec = parse(data, path="environment.yaml")
        apply_policy(spec, *allowed)
    except SpecError as e:
        return ":".join(str(n) for n in (e.line, e.column) if n) + f": {e}"
    assert spec is not None
    return "; ".join(_words(m) for m in spec.messages) or "ok"


@pytest.mark.parametrize(("name", "payload"), hostile("yaml", "pip"))
@pytest.mark.timeout(10)
def test_a_hostile_file_gets_its_answer(name: str, payload: str) -> None:
    said = answer((HOSTILE / payload).read_bytes())
    assert ANSWERS[name] in said
    assert len(said) < 2000
    assert "CANARY-" not in said
    assert not CANARY.exists()


def test_every_answer_belongs_to_a_case() -> None:
    assert sorted(ANSWERS) == sorted(name for name, _ in hostile("yaml", "pip"))


@pytest.mark.parametrize(
    "entry",
    [
        "http://127.0.0.1:9/evil::python", "evil::numpy", "python[url=http://127.0.0.1:9/x.conda]",
        "python[channel=http://127.0.0.1:9/x]", "file:///etc/passwd", "./evil.conda", "-c",
        "--file=/etc/passwd",
    ],
)  # fmt: skip
def test_every_hostile_dependency_is_refused_by_itself(entry: str) -> None:
    said = answer(f'dependencies: ["{entry}"]\n'.encode(), "conda-forge")
    assert said.startswith("1:16: ")


@pytest.mark.parametrize(
    "entry",
    [
        "http://127.1/x", "http://[::1]/x", "http://0x7f000001/x", "http://2130706433/x", "http://0/x",
        "http://localhost.localdomain/x", "oci://127.0.0.1:9/x", "s3://bucket/x", "gcs://b/x",
        "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "file:///etc", "/etc", "~/x", "../../../etc",
        "https://user:CANARY-PW@channels.example.org/x", "https://channels.example.org/t/CANARY-TOKEN/x",
    ],
)  # fmt: skip
def test_every_hostile_channel_is_refused_by_itself(entry: str) -> None:
    said = answer(f'channels: ["{entry}"]\ndependencies: []\n'.encode())
    assert said.startswith("1:12: ")
    assert "CANARY" not in said


def test_the_names_to_refuse_are_refused_and_those_to_accept_accepted() -> None:
    names = json.loads((HOSTILE / "name" / "names.json").read_text())
    assert [n for n in names["refuse"].values() if valid_name(n)] == []
    assert [n for n in names["accept"].values() if not valid_name(n)] == []
