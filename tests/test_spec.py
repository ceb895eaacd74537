"""Environment files: what is understood, what is refused and in which words, and the digest."""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec

from envwatch import entries
from envwatch.errors import SpecError
from envwatch.model import Level, Message, Requirement, Spec
from envwatch.selectors import PLATFORMS, select
from envwatch.spec import check, default_name, on, parse, pip_on, valid_name, virtual_overrides

PIECES = st.sampled_from(
    [
        "python", " ", "=", "==", ">=", "<", "~=", "!=", "1.2", "1.2.*", "*", "py_0", "b*", ",",
        "|", "(", ")", "[build=x]", "[version='>=1']", "conda-forge::", "noarch", "::", "/", "[",
        "]", "'", "1", "a", "-", ".", "_", "+", "!1", "https://h.example/c",
    ]
)  # fmt: skip
WHOLE = """\
name: analysis
description: for the team
channels: [conda-forge, bioconda]
dependencies:
  - python=3.11
  - numpy >=1.20,<2  # arrays
  - pip
  - pip:
      - httpx[http2]==0.28.1
variables:
  REGION: north
  LIMIT: 10
platforms: [linux-64, osx-arm64]
"""


def read(text: str, path: str = "x.yml") -> Spec:
    spec = parse(text.encode(), path=path)
    assert spec is not None
    return spec


def refusal(text: str, path: str = "x.yml") -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(text.encode(), path=path)
    return caught.value


def dependency(text: str) -> Requirement:
    return read(f"dependencies:\n- {text}\n").dependencies[0]


def refused_dependency(text: str) -> SpecError:
    quoted = text.replace("'", "''")
    return refusal(f"dependencies:\n- '{quoted}'\n")


def accepted(text: str) -> bool:
    try:
        entries.check_dependency(text)
    except SpecError:
        return False
    return True


def solver_name(text: str) -> str:
    name = MatchSpec(text).name
    return name.normalized if name else ""


def solver_meaning(text: str) -> str:
    return str(MatchSpec(text))


def refused_pip(text: str) -> SpecError:
    quoted = text.replace("'", "''")
    return refusal(f"dependencies:\n- pip:\n  - '{quoted}'\n")


def test_every_section_is_read() -> None:
    spec = read(WHOLE)
    assert (spec.name, spec.description, spec.path) == ("analysis", "for the team", "x.yml")
    assert [c.text for c in spec.channels] == ["conda-forge", "bioconda"]
    assert [d.text for d in spec.dependencies] == ["python=3.11", "numpy >=1.20,<2", "pip"]
    assert spec.pip == (Requirement("httpx[http2]==0.28.1", 9, 9),)
    assert spec.variables == (("REGION", "north"), ("LIMIT", "10"))
    assert spec.platforms == ("linux-64", "osx-arm64")
    assert spec.messages == ()


def test_entries_know_their_place() -> None:
    assert dependency("numpy") == Requirement("numpy", 2, 3)


# ---------------------------------------------------------------- what is no environment


@pytest.mark.parametrize(
    "text",
    [
        "site_name: docs\nnav: [a, b]\n",
        "- hosts: all\n",
        "just text\n",
        "plugins:\n  - !!python/name:a.b\n",
        "a: 1\n---\nb: 2\n",
        "x: &a 1\ny: *a\n",
        "apiVersion: v2\ndependencies:\n- name: postgresql\n",
        "galaxy_info: {author: a}\ndependencies: []\n",
        "a: 1\n# " + "x" * 70_000,
    ],
)
def test_other_yaml_is_ignored(text: str) -> None:
    assert parse(text.encode(), path="other.yml") is None


def test_a_file_called_environment_that_is_none_is_refused() -> None:
    error = refusal("name: demo\nchannels: [conda-forge]\n", path="a/environment-dev.yaml")
    assert str(error) == "not an environment (it has no `dependencies`)"


def test_another_programs_environment_file_is_ignored() -> None:
    assert parse(b"/hippo:configuration: {x: 1}\n", path="environment.yaml") is None


def test_a_file_that_was_an_environment_is_not_ignored() -> None:
    with pytest.raises(SpecError, match="not an environment"):
        parse(b"site_name: docs\n", path="x.yml", known=True)


def test_a_broken_file_that_has_dependencies_is_refused() -> None:
    assert refusal("name: &a demo\ndependencies: []\n").line == 1


def test_a_misspelt_dependencies_is_refused_with_the_right_word() -> None:
    error = refusal("name: demo\ndependecies:\n- python\n")
    assert str(error) == "the key `dependecies` is not known (did you mean `dependencies`?)"
    assert (error.line, error.column) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dependencies:", "`dependencies` must be a list, not nothing"),
        ("dependencies: python", "`dependencies` must be a list, not text"),
        ("dependencies: {python: 3}", "`dependencies` must be a list, not a mapping"),
        ("dependencies: [[a]]", "a list inside `dependencies`"),
        ("dependencies: [a, ]\nchannels: x", "`channels` must be a list, not text"),
        ("dependencies: []\nplatforms: [[a]]", "an entry of `platforms` must be text, not a list"),
        ("dependencies:\n-\n", "an empty entry"),
        ("dependencies: []\nname: [a]", "`name` must be text, not a list"),
        ("dependencies: []\nvariables: [a]", "`variables` must be a mapping, not a list"),
        ("dependencies: []\nvariables: {A: }", "the variable `A` must be text, not nothing"),
        ("dependencies: []\nvariables: {A: [1]}", "the variable `A` must be text, not a list"),
        ("dependencies: []\nplatforms: [linux64]", "`linux64` is not a platform"),
        ("dependencies:\n- pip: httpx", "`pip` must be a list, not text"),
        ("dependencies:\n- pip:\n  - {a: b}", "a pip requirement must be text, not a mapping"),
        ("dependencies:\n- pip: [a]\n- pip: [b]", "`pip:` is already on line 2"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_refused(text: str, message: str) -> None:
    assert refusal(text).message == message


def test_a_mapping_among_the_dependencies_gets_the_right_spelling() -> None:
    error = refusal("dependencies:\n- python: 3.10\n")
    assert str(error) == "`python:` starts a mapping, not a package (write `python=3.10`)"
    assert (error.line, error.column) == (2, 3)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["0", "a" * 64, "A.b_c-d", "no", "2001-01-01"])
def test_a_good_name_is_taken(name: str) -> None:
    assert valid_name(name)
    assert read(f"name: {name}\ndependencies: []\n").name == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".git", "a/b", "a b", "a.", "a.lock", "-", "a" * 65, "é", "a\n", "a:b"]
)
def test_a_bad_name_is_known(name: str) -> None:
    assert not valid_name(name)


def test_a_name_with_spaces_is_refused_with_a_better_one() -> None:
    error = refusal("name: my test env\ndependencies: []\n")
    assert error.message == "`my test env` cannot be the name of an environment"
    assert "`my-test-env`" in error.hint


@pytest.mark.parametrize("text", ["name:\n", "name: ~\n", ""])
def test_a_file_without_a_name_has_none(text: str) -> None:
    assert read(f"{text}dependencies: []\n").name == ""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("envs/analysis.yml", "analysis"),
        ("envs/analysis.prod.yaml", "analysis.prod"),
        ("team/gpu/environment.yml", "gpu"),
        ("team/gpu/environment.yaml", "gpu"),
        ("environment.yml", "source"),
        ("team/environment-dev.yml", "environment-dev"),
    ],
)
def test_the_default_name_is_that_of_the_file_or_its_folder(path: str, name: str) -> None:
    assert default_name(path, "source") == name


def test_a_path_that_gives_no_good_name_is_refused() -> None:
    with pytest.raises(SpecError, match="`my envs`, from its path, cannot be the name") as caught:
        default_name("my envs/environment.yml", "source")
    assert caught.value.hint == "give the file a `name:`"


# ---------------------------------------------------------------- dependencies


@pytest.mark.parametrize(
    "text",
    [
        "python", "python=3.9", "python==3.9.1", "python >=3.8,<3.12", "ipython > 7",
        "python =3.9.*", "numpy=1.2=py39_0", "numpy 1.2 py39_0", "libarchive>=3.8 lgpl_*",
        "jax>=0.4.31=cuda12*", "numpy 1.2|1.3", "numpy (>=1|<0.5),!=3", "numpy ~=1.2",
        "numpy !=1.2", "numpy=*=*mkl",
        "blas[build=mkl]", 'blas[version=">=1,<2", build="*mkl"]', "conda-forge::numpy",
        "conda-forge/linux-64::numpy", "https://h.example/c::numpy", "__cuda >=12", "_libgcc_mutex",
        "Pillow==12.3.0", "https://h.example/c/noarch/a-1.0-0.conda", "7zip", "foo 1!2.0",
        "https://h.example/c/noarch/a-1.0-0.tar.bz2#0123456789abcdef0123456789abcdef",
    ],
)  # fmt: skip
def test_a_dependency_as_conda_writes_it_is_kept_as_written(text: str) -> None:
    assert dependency(text).text == text


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("num py", "is more than one word", "one package per line"),
        ("num py >=1", "is more than one word", "one package per line"),
        ("3.10", "is a version without a package", "`name=version`"),
        ("1:30:00", "is not a package and its version", "for example"),
        ("--override-channels", "is an option", "only names"),
        ("/etc/passwd", "is a path", "a channel"),
        ("./a.conda", "is a path", "a channel"),
        ("file:///etc/passwd", "is a path", "a channel"),
        ("evil-1.0-0.conda", "is the file of a package", "`name=version=build`"),
        ("http://h.example/evil", "is not the address of a package", "`.conda`"),
        ("dask[complete]", "without `key=value`", "no extras"),
        ("foo[bild=1]", "the unknown key `bild`", "did you mean `build`?"),
        ("foo[version=a b]", "`a b` is not a version", ""),
        ("foo >=1 <2", "has two versions", "put a `,`"),
        ("foo >=", "ends where something should follow", "write the version"),
        ("foo,", "ends where something should follow", "write the version"),
        ("foo=1 = py_0", "has a space before its build", "`name=version=build`"),
        ("foo===1", "has `===`", "write `==`"),
        ("x @ https://h.example/x.whl", "is a pip requirement", "`pip:`"),
        ("x; python_version<'3'", "has a marker", "`pip:`"),
        ("python3.*", "is not a package and its version", "for example"),
        ("python=$VERSION", "`$` is not allowed", "not replaced"),
        ("python={{ version }}", "is a template", "rendered"),
        ("нumpy", "is not a package and its version", "for example"),
        ("a" * 513, "an entry of 513 characters", ""),
        ("a[channel=x][url=y]", "is not a package and its version", ""),
    ],
)
def test_a_mistaken_dependency_is_explained(text: str, message: str, hint: str) -> None:
    error = refused_dependency(text)
    assert message in error.message
    assert hint in error.hint
    assert (error.line, error.column) == (2, 3)


def test_a_secret_in_a_dependency_is_not_repeated() -> None:
    error = refused_dependency("https://ada:hunter2@h.example/c/noarch/a-1-0.conda")
    assert error.message == "an address that holds a password or token"
    assert "hunter2" not in str(error)


def test_the_same_package_twice_is_a_warning() -> None:
    spec = read("dependencies: [python=3.9, numpy, Python>=3.8]\n")
    assert [str(m) for m in spec.messages] == [
        "x.yml:1:35: warning: `python` is already on line 1 (keep one of them)"
    ]


def test_a_package_once_per_platform_is_no_warning() -> None:
    spec = read("dependencies:\n- sel(linux): a\n- sel(win): a\n- b # [osx]\n- b # [not osx]\n")
    assert spec.messages == ()


# ---------------------------------------------------------------- platforms


@pytest.mark.parametrize(
    ("selector", "platforms"),
    [
        ("linux64", ("linux-64",)),
        ("osx", ("osx-64", "osx-arm64")),
        ("win", ("win-64", "win-arm64")),
        ("arm64", ("osx-arm64",)),
        ("linux-aarch64", ("linux-aarch64",)),
        ("osx or win64", ("osx-64", "osx-arm64", "win-64")),
        ("unix and not linux", ("osx-64", "osx-arm64")),
        ("linux and win", ()),
    ],
)
def test_a_selector_names_its_platforms(selector: str, platforms: tuple[str, ...]) -> None:
    assert select(selector) == platforms


@given(st.sampled_from(["linux", "osx", "win", "unix", "osx64", "x86_64", *PLATFORMS]))
def test_not_keeps_the_other_platforms(word: str) -> None:
    chosen, others = select(word), select(f"not {word}")
    assert chosen is not None
    assert others is not None
    assert sorted((*chosen, *others)) == sorted(PLATFORMS)


def test_comments_and_keys_select_platforms() -> None:
    spec = read(
        "dependencies:\n- python\n- gcc  # [linux]\n- sel(osx): clang\n"
        "- pip:\n  - a\n  - b # [win]\n"
    )
    assert [r.text for r in on(spec, "linux-64")] == ["python", "gcc"]
    assert [r.text for r in on(spec, "osx-arm64")] == ["python", "clang"]
    assert [r.text for r in pip_on(spec, "linux-64")] == ["a"]
    assert [r.text for r in pip_on(spec, "win-64")] == ["a", "b"]


def test_a_selector_that_is_not_known_is_a_warning_and_keeps_the_line() -> None:
    spec = read("dependencies:\n- python # [py3k]\n")
    assert spec.messages[0].text == "`# [py3k]` is no platform and has no effect"
    assert on(spec, "linux-64") == spec.dependencies


@pytest.mark.parametrize("line", ["- a # [linux and win]", "- sel(beos): a", "- sel(linux): [a]"])
def test_a_selector_that_selects_nothing_is_refused(line: str) -> None:
    assert refusal(f"dependencies:\n{line}\n").line == 2


# ---------------------------------------------------------------- pip


@pytest.mark.parametrize(
    "text",
    [
        "httpx", "httpx==0.28.1", "httpx[http2,cli]>=0.27,<1", "x (>1)", "x; python_version<'3.9'",
        "x @ https://h.example/x-1.0-py3-none-any.whl", "x @ https://h.example/x-1.0.tar.gz#sha256=00",
    ],
)  # fmt: skip
def test_a_pip_requirement_is_kept_as_written(text: str) -> None:
    quoted = text.replace("'", "''")
    assert read(f"dependencies:\n- pip:\n  - '{quoted}'\n").pip[0].text == text


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("-r requirements.txt", "the pip option `-r` is not read", "list the packages"),
        ("--requirement=a.txt", "the pip option `--requirement` is not read", "list the packages"),
        ("-e .", "the pip option `-e` is not read", "build a wheel"),
        ("--index-url https://h.example", "the pip option `--index-url` is not read", "`pip`"),
        ("--pre", "the pip option `--pre` is not read", "names and versions"),
        ("x --hash=sha256:00", "the pip option `--hash` is not read", "names and versions"),
        ("git+https://h.example/a", "comes from git, which cannot be locked", "release"),
        ("a @ git+ssh://git@h.example/a", "comes from git, which cannot be locked", "release"),
        ("./a", "is a file or folder", "release"),
        ("a-1.0-py3-none-any.whl", "is a file or folder", "`name @ https://….whl`"),
        ("a @ file:///a.whl", "is not fetched over https", "wheels"),
        ("a @ https://h.example/a", "is not the address of a wheel", "`.whl`"),
        ("a @ https://h.example/${TOKEN}.whl", "`$` is not allowed", "not replaced"),
        ("foo=1.0", "has one `=`", "write `foo==1.0`"),
        ("foo bar", "is not a pip requirement: expected", "for example"),
        ("", "an empty entry", "remove it"),
        ("x; " + "(" * 17 + "a", "has more than 16 brackets", ""),
        ("a @ https://[::1/a.whl", "has no address that can be read", ""),
    ],
)
def test_a_mistaken_pip_requirement_is_explained(text: str, message: str, hint: str) -> None:
    error = refused_pip(text)
    assert message in error.message
    assert hint in error.hint
    assert (error.line, error.column) == (3, 5)


def test_a_secret_in_a_pip_requirement_is_not_repeated() -> None:
    error = refused_pip("a @ git+https://ada:hunter2@h.example/a.git")
    assert "hunter2" not in str(error)


# ---------------------------------------------------------------- channels, variables, other keys


def test_nodefaults_is_left_out_with_a_note() -> None:
    spec = read("channels: [conda-forge, nodefaults]\ndependencies: []\n")
    assert [c.text for c in spec.channels] == ["conda-forge"]
    assert [m.level for m in spec.messages] == [Level.NOTE]


def test_a_channel_twice_is_a_warning() -> None:
    spec = read("channels: [a, b, a]\ndependencies: []\n")
    assert [c.text for c in spec.channels] == ["a", "b"]
    assert spec.messages[0].text == "the channel `a` is already on line 1"


def test_sixteen_channels_are_the_most() -> None:
    assert len(read(f"channels: {[f'c{n}' for n in range(16)]}\ndependencies: []\n").channels) == 16
    error = refusal(f"channels: {[f'c{n}' for n in range(17)]}\ndependencies: []\n")
    assert error.message == "17 channels, at most 16 are allowed"


@pytest.mark.parametrize(
    "channel", ["https://ada:hunter2@h.example/c", "https://h.example/t/hunter2/c", "https://hunter2@h/c"]
)  # fmt: skip
def test_a_secret_in_a_channel_is_refused_and_not_repeated(channel: str) -> None:
    error = refusal(f"channels: ['{channel}']\ndependencies: []\n")
    assert error.message == "an address that holds a password or token"
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("channel", ["https://h.example/$TOKEN/c", "a b", "a\\b", "-c", "é"])
def test_what_cannot_be_a_channel_is_refused(channel: str) -> None:
    assert refusal(f"channels: ['{channel}']\ndependencies: []\n").line == 1


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "PYTHONHOME", "BASH_ENV", "IFS"]
)  # fmt: skip
def test_a_variable_that_changes_what_runs_is_refused(name: str) -> None:
    error = refusal(f"dependencies: []\nvariables:\n  {name}: x\n")
    assert error.message == f"the variable `{name}` may not be set here"
    assert (error.line, error.column) == (3, 3)


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", "É"])
def test_a_variable_needs_a_good_name(name: str) -> None:
    error = refusal(f"dependencies: []\nvariables: {{{name}: x}}\n")
    assert error.message == f"`{name}` cannot be the name of a variable"


def test_overrides_of_virtual_packages_are_known() -> None:
    spec = read('dependencies: []\nvariables: {A: b, CONDA_OVERRIDE_CUDA: "12.4"}\n')
    assert virtual_overrides(spec, "linux-64") == (("__cuda", "12.4"),)


CHANELS = (
    "x.yml:4:1: warning: the key `chanels` is not known and is ignored (did you mean `channels`?)"
)


def test_keys_that_are_not_used_are_told() -> None:
    spec = read("dependencies: []\nprefix: null\ncategory: dev\nchanels: [a]\nzzz: 1\n")
    assert [str(m) for m in spec.messages] == [
        "x.yml:2:1: note: `prefix` is ignored: envwatch chooses where environments are",
        "x.yml:3:1: note: `category` is ignored: each file is an environment of its own",
        CHANELS,
        "x.yml:5:1: warning: the key `zzz` is not known and is ignored",
    ]


# ---------------------------------------------------------------- all messages at once


def test_parse_raises_the_first_error_of_the_file() -> None:
    assert refusal("dependencies: [num py]\nname: a b\n").line == 1
    assert refusal("name: a b\ndependencies: [num py]\n").line == 1


def test_check_tells_all_errors_and_warnings_in_order() -> None:
    text = "name: a b\ndependencies:\n- num py\n- pip:\n  - -e .\nfoo: 1\n"
    found = check(text.encode(), path="x.yml")
    assert [(m.line, m.level) for m in found] == [
        (1, Level.ERROR),
        (3, Level.ERROR),
        (5, Level.ERROR),
        (6, Level.WARNING),
    ]


def test_check_says_nothing_of_a_good_file() -> None:
    assert check(WHOLE.encode(), path="x.yml") == ()


def test_check_says_why_a_file_is_ignored() -> None:
    note = Message(Level.NOTE, "not an environment: it has no `dependencies`", "mkdocs.yml")
    assert check(b"site_name: docs\n", path="mkdocs.yml") == (note,)


def test_check_says_when_the_path_gives_no_name() -> None:
    (message,) = check(b"dependencies: []\n", path="my env.yml")
    assert message.level is Level.ERROR


# ---------------------------------------------------------------- digest


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + WHOLE,
        WHOLE.replace("analysis", "other"),
        WHOLE.replace("for the team", "for all"),
        WHOLE + "prefix: /somewhere\n",
        WHOLE.replace("numpy >=1.20,<2  # arrays", "NumPy  >= 1.20, <2"),
        WHOLE.replace("httpx[http2]==0.28.1", "HTTPX [http2] == 0.28.1"),
        WHOLE.replace("LIMIT: 10", "LIMIT: '10'"),
        WHOLE.replace("[linux-64, osx-arm64]", "[osx-arm64, linux-64]"),
        WHOLE.replace("[conda-forge, bioconda]", "[conda-forge, nodefaults, bioconda]"),
    ],
)
def test_what_means_the_same_has_the_same_digest(text: str) -> None:
    assert read(text).digest == read(WHOLE).digest


@pytest.mark.parametrize(
    "text",
    [
        WHOLE.replace("conda-forge, bioconda", "bioconda, conda-forge"),
        WHOLE.replace("3.11", "3.12"),
        WHOLE.replace("0.28.1", "0.28.2"),
        WHOLE.replace("north", "south"),
        WHOLE.replace("linux-64, ", ""),
        WHOLE.replace("# arrays", "# [linux]"),
        WHOLE.replace("  - pip\n", ""),
    ],
)
def test_what_means_something_else_has_another_digest(text: str) -> None:
    assert read(text).digest != read(WHOLE).digest


def test_the_order_of_sections_does_not_matter() -> None:
    sections = ["dependencies: [b, a]\n", "channels: [x, y]\n", "variables: {A: b}\n"]
    digests = {read("".join(order)).digest for order in permutations(sections)}
    assert len(digests) == 1


@given(st.permutations(["python=3.11", "numpy", "scipy >=1", "pip", "blas[build=mkl]"]))
@settings(max_examples=30)
def test_the_order_of_dependencies_does_not_matter(order: list[str]) -> None:
    text = "dependencies:\n" + "".join(f"- {d}\n" for d in order)
    first = "dependencies:\n" + "".join(f"- {d}\n" for d in sorted(order))
    assert read(text).digest == read(first).digest


@given(st.lists(PIECES, max_size=5))
@settings(max_examples=500, deadline=None)
def test_the_solver_reads_a_dependency_as_we_do(pieces: list[str]) -> None:
    text = "numpy" + "".join(pieces)
    assert not accepted(text) or solver_name(text) == entries.package_name(text)


@given(st.lists(PIECES, max_size=5))
@settings(max_examples=300, deadline=None)
def test_two_dependencies_of_one_digest_mean_the_same(pieces: list[str]) -> None:
    text = "NumPy " + "".join(pieces)
    plain = entries.normal(text)
    assert not accepted(text) or solver_meaning(text) == solver_meaning(plain)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_understood_refused_or_ignored(data: bytes) -> None:
    _understood_refused_or_ignored(b"dependencies:\n- " + data)


@given(st.text("abPy01.=<>!,|*~[]()'\" :;@#/-$\\", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_entry_is_understood_or_refused(entry: str) -> None:
    quoted = entry.replace("'", "''")
    text = f"channels: ['{quoted}']\ndependencies: ['{quoted}', pip: ['{quoted}']]\n"
    _understood_refused_or_ignored(text.encode())


def _understood_refused_or_ignored(data: bytes) -> None:
    with suppress(SpecError):
        spec = parse(data, path="x.yml")
        assert spec is None or len(spec.digest) == 64
