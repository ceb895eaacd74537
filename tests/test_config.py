"""The config: what is read, what is refused and how, and that its documents tell the truth."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envwatch import config, yamltext
from envwatch.config import words
from envwatch.config.people_fill import OPEN
from envwatch.config.sections import (
    Forge,
    Hub,
    NamespaceEntry,
    NamespaceWords,
    NotifyEntry,
    Oidc,
    ProxyUser,
    Section,
    SourceEntry,
)
from envwatch.errors import ConfigError
from envwatch.model import Level
from envwatch.settings import (
    AccessSettings,
    BuildLimits,
    NamespaceSettings,
    Network,
    PipOptions,
    RepoRules,
    Retention,
    ScheduleSettings,
    Settings,
    SolveOptions,
    SourceKind,
    SpaceSettings,
    WebSettings,
    WriteBack,
)

REPO = Path(__file__).parent.parent
EXAMPLE = REPO / "config.example.yaml"
BAD = sorted((Path(__file__).parent / "data/config/bad").glob("*.yaml"))
CORPUS = REPO.parent / "shared/corpus/hostile/config"
GIT = "git: https://git.example.org/envs.git"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Loads a config of the given text from a folder of its own."""

    def load(text: str) -> Settings:
        return config.load(written(tmp_path, text))

    return load


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def remarks(folder: Path, text: str, level: Level = Level.WARNING) -> list[str]:
    messages = config.check(written(folder, text))
    return [m.text for m in messages if m.level is level]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_bad_config_is_answered_with_every_fault_and_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    told = "".join(f"{m}\n" for m in config.check(Path(path.name)))
    assert told.replace(str(path.parent), "HERE") == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_bad_config_is_not_loaded(path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{path.name}:\d+:\d+: "):
        config.load(path)


def test_corpus_of_hostile_configs_is_here() -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of hostile inputs is not beside this checkout")
    assert list(CORPUS.glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda p: p.stem)
def test_hostile_config_is_answered_briefly_with_its_place(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    lines = caught.value.message.splitlines()
    assert len(caught.value.message) < 2048
    assert all(re.match(rf"{re.escape(str(path))}:\d+:\d+: \S", line) for line in lines)


def test_secrets_in_a_config_are_not_repeated() -> None:
    path = next(p for p in BAD if p.stem == "credentials")
    assert "CANARY" in path.read_text()
    assert "CANARY" not in "".join(str(m) for m in config.check(path))


def test_hundreds_of_faults_are_told_in_a_few_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"key{n}: 1\n" for n in range(500)))
    messages = config.check(path)
    assert len(messages) == 21
    assert "480 more" in messages[-1].text


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        config.load(tmp_path / "nowhere.yaml")


def test_root_behind_a_link_to_a_system_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert "belongs to the system" in remarks(tmp_path, "root: link/x", Level.ERROR)[0]


def test_root_given_on_the_command_line_is_checked_too(tmp_path: Path) -> None:
    path = written(tmp_path, "update: latest")
    with pytest.raises(ConfigError, match="belongs to the system"):
        config.load(path, root=Path("/etc/envwatch"))


def test_credentials_that_everybody_can_read_are_refused(tmp_path: Path) -> None:
    auth_file = tmp_path / "auth.json"
    auth_file.write_text("{}")
    auth_file.chmod(0o644)
    text = "channels: {auth_file: auth.json}"
    assert remarks(tmp_path, text, Level.ERROR) == ["channels.auth_file: everybody can read it"]
    auth_file.chmod(0o600)
    assert remarks(tmp_path, text, Level.ERROR) == []


@pytest.mark.parametrize("trusted", ["", ", trusted: ['::1/128']", ", trusted: [0.0.0.0/0]"])
def test_a_proxy_on_this_machine_needs_a_secret(tmp_path: Path, trusted: str) -> None:
    text = f"login: {{proxy: {{user_header: X-User{trusted}}}}}"
    (told,) = remarks(tmp_path, text, Level.ERROR)
    assert told == "login.proxy: whoever has an account on this machine could say to be anybody"
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    text = f"login: {{proxy: {{user_header: X-User, secret_file: secret{trusted}}}}}"
    told = "login.proxy.secret_file: everybody can read it"
    assert remarks(tmp_path, text, Level.ERROR) == [told]
    secret.chmod(0o600)
    assert remarks(tmp_path, text, Level.ERROR) == []


def test_a_proxy_elsewhere_may_be_known_by_its_address(tmp_path: Path) -> None:
    text = "login: {proxy: {user_header: X-User, trusted: [10.0.0.7/32]}}"
    assert remarks(tmp_path, text, Level.ERROR) == []


def test_secrets_of_hooks_that_everybody_can_read_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    text = f"sources: [{{name: a, {GIT}, hook: {{secret_files: [secret]}}}}]"
    key = "sources[0].hook.secret_files[0]"
    assert remarks(tmp_path, text, Level.ERROR) == [f"{key}: everybody can read it"]
    secret.chmod(0o600)
    assert remarks(tmp_path, text, Level.ERROR) == []
    secret.write_text("")
    (told,) = remarks(tmp_path, text, Level.ERROR)
    # a long path is shortened
    assert (told[: len(key)], told.endswith("` is empty")) == (key, True)


def test_paths_that_cannot_be_looked_at_are_answered(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    long = "x" * 300
    text = f"root: circle\nsources: [{{name: a, directory: {long}}}]\nca_file: circle"
    assert "ca_file: there is no file" in remarks(tmp_path, text, Level.ERROR)[0]
    assert "is not a folder now" in remarks(tmp_path, text)[0]


# ---------------------------------------------------------------- what is doubtful


def test_listening_beyond_this_machine_is_warned_of(tmp_path: Path) -> None:
    told = remarks(tmp_path, f"web: {{listen: '0.0.0.0:80'}}\nsources: [{{name: a, {GIT}}}]")
    assert told == ["web: nobody may see anything: others than this machine can ask"]
    said = "access: {anonymous: {'*': viewer}}\n"
    assert not remarks(
        tmp_path, f"{said}web: {{listen: '0.0.0.0:80'}}\nsources: [{{name: a, {GIT}}}]"
    )


@pytest.mark.parametrize("address", ["127.0.0.1:1", "'[::1]:8080'", "localhost:80"])
def test_listening_on_this_machine_is_not_warned_of(tmp_path: Path, address: str) -> None:
    assert not remarks(tmp_path, f"web: {{listen: {address}}}\nsources: [{{name: a, {GIT}}}]")


def test_namespace_that_no_source_fills_is_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, f"sources: [{{name: team, {GIT}}}]\nnamespaces: {{taem: {{}}}}")
    message = config.check(path)[0]
    assert (message.level, message.line, message.column) == (Level.WARNING, 2, 14)
    assert message.hint == "did you mean `team`?"


def test_unknown_group_is_warned_of(tmp_path: Path) -> None:
    text = f"group: no-such-group-here\nsources: [{{name: a, {GIT}}}]"
    assert remarks(tmp_path, text) == ["group: there is no group `no-such-group-here`"]


def test_proxy_password_in_a_readable_file_is_warned_of(tmp_path: Path) -> None:
    text = f"proxy: http://me:CANARY-PW@proxy:3128\nsources: [{{name: a, {GIT}}}]"
    written(tmp_path, text).chmod(0o644)
    told = remarks(tmp_path, text)
    assert told == ["proxy: holds a password, and everybody can read this file"]


# ---------------------------------------------------------------- what is read


def test_no_config_gives_the_defaults_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    allowed = NamespaceSettings("", allowed_channels=("conda-forge",))
    access = AccessSettings(anonymous=OPEN)  # only this machine can ask
    assert config.default() == Settings(tmp_path / "envwatch-data", defaults=allowed, access=access)


def test_words_fill_the_settings(load: Any) -> None:
    settings = load(f"""
sources: [{{name: team, {GIT}, branch: 1.0, interval: 1h30m, exclude: [a/**], max_files: 7}}]
channels: {{priority: flexible, alias: "https://c.example.org", retries: 0, timeout: 90s,
           mirrors: {{conda-forge: ["https://m.example.org/cf/"]}}}}
proxy: http://proxy.example.org:3128
virtual_packages: [__cuda=12.4]
builds: {{parallel: 3, solve_timeout: 1m, memory: 1.5GiB, compile: no, sandbox: require}}
web: {{listen: "[::1]:0", threads: 4, origins: ["https://Hub.example.org:443/"]}}
schedule: {{verify: off}}
watch: {{resync: 1m}}
durability: fast
""")
    source = settings.sources[0]
    assert (source.kind, source.branch, source.namespace) == (SourceKind.GIT, "1.0", "team")
    assert (source.interval, source.exclude, source.max_files) == (5400, ("a/**",), 7)
    assert settings.network == Network(
        alias="https://c.example.org/",
        mirrors=(("conda-forge", ("https://m.example.org/cf",)),),
        proxy="http://proxy.example.org:3128",
        retries=0,
        timeout=90,
    )
    origins = ("https://hub.example.org",)
    assert settings.web == WebSettings(host="::1", port=0, threads=4, origins=origins)
    assert settings.schedule == ScheduleSettings(verify="")
    assert (settings.parallel, settings.sandbox, settings.resync) == (3, "require", 60)
    assert settings.durability == "fast"
    namespace = settings.namespace("team")
    assert namespace.limits == BuildLimits(memory=3 * 2**29)
    assert namespace.compile is False
    assert namespace.solve == SolveOptions(
        strict_channel_priority=False, virtual_packages=("__cuda=12.4",), timeout=60
    )


def test_namespace_overrides_source_overrides_global(load: Any) -> None:
    settings = load(f"""
retention: {{keep_last: 2, keep_days: 9}}
pip: {{allow_sdist: true}}
update: latest
sources:
  - {{name: one, namespace: team, {GIT}, retention: {{keep_last: 3}}, mode: 0700}}
  - {{name: two, {GIT}}}
namespaces:
  team: {{update: off, pip: {{index: "https://i.example.org/simple"}}}}
""")
    team, two = settings.namespaces
    assert team.retention == Retention(keep_last=3, keep_days=9)
    assert team.pip == PipOptions(index="https://i.example.org/simple", allow_sdist=True)
    assert (team.update, team.mode) == ("", 0o700)
    assert (two.retention.keep_last, two.update, two.mode) == (2, "latest", 0o755)
    assert settings.namespace("never-heard-of").update == "latest"


def test_only_default_channels_are_allowed_where_nothing_is_said(load: Any) -> None:
    settings = load("channels: {default: [a, b]}\nnamespaces: {n: {channels: {default: [c]}}}")
    assert settings.defaults.allowed_channels == ("a", "b")
    assert settings.namespace("n").allowed_channels == ("c",)


def test_star_allows_every_channel(load: Any) -> None:
    assert load("channels: {allowed: ['*']}").defaults.allowed_channels == ()


def test_keys_without_a_value_are_not_given(load: Any) -> None:
    settings = load("root:\nsources:\nweb:\nbuilds: {timeout: }\nnamespaces: {a: }\n")
    assert settings.web == WebSettings()
    assert settings.defaults.limits == BuildLimits()


def test_paths_are_relative_to_the_file_not_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    text = "root: data\nsources: [{name: a, directory: ../specs}, {name: b, git: ./repo}]"
    path = written(tmp_path / "etc", text)
    monkeypatch.chdir("/")
    settings = config.load(path)
    assert settings.root == tmp_path / "etc/data"
    assert settings.sources[0].directory is not None
    assert settings.sources[0].directory.resolve() == tmp_path / "specs"
    assert settings.sources[1].url == str(tmp_path / "etc/repo")


def test_secrets_of_hooks_are_files_beside_the_config(load: Any, tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).write_text("s3cret")
        (tmp_path / name).chmod(0o600)
    settings = load(f"sources: [{{name: a, {GIT}, hook: {{secret_files: [new, old]}}}}]")
    assert settings.sources[0].hook_secrets == (tmp_path / "new", tmp_path / "old")
    again = config.load(written(tmp_path, config.show(settings)))
    assert again.sources[0].hook_secrets == settings.sources[0].hook_secrets


def test_root_behind_a_link_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert config.load(written(tmp_path, "root: link")).root == tmp_path / "real"


def test_root_is_beside_the_file_where_none_is_named(tmp_path: Path, load: Any) -> None:
    assert load("update: latest").root == tmp_path / "envwatch-data"


def test_root_on_the_command_line_goes_first(tmp_path: Path) -> None:
    path = written(tmp_path, "root: /srv/envwatch")
    assert config.load(path, root=tmp_path / "other").root == tmp_path / "other"


def test_program_by_name_is_left_to_the_path(load: Any, tmp_path: Path) -> None:
    assert load("solver_executable: mamba").defaults.solve.executable == "mamba"
    assert load("solver_executable: bin/m").defaults.solve.executable == str(tmp_path / "bin/m")


# ---------------------------------------------------------------- single words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("15m", 900), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("500ms", 0.5),
     ("1.5h", 5400), ("0", 0), ("2w", 1209600)],
)  # fmt: skip
def test_durations_have_units(text: str, seconds: float) -> None:
    assert words.read_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["60", "", "m", "-1s", "1 h", "1y", "१s", "1e3s", "9" * 5000 + "s"]
)
def test_odd_durations_are_refused(text: str) -> None:
    with pytest.raises(words.Wrong):
        words.read_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 2**33), ("500MB", 500_000_000), ("1.5 kB", 1500), ("0", 0), ("10B", 10)],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert words.read_size(text) == size


@pytest.mark.parametrize("text", ["8G", "8", "", "-1GB", "1GIB", "2000000TiB", "9" * 5000 + "B"])
def test_odd_sizes_are_refused(text: str) -> None:
    with pytest.raises(words.Wrong):
        words.read_size(text)


@given(st.integers(0, 3650 * 86_400_000))
def test_durations_are_read_as_they_are_written(milliseconds: int) -> None:
    assert words.read_duration(words.write_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 2**50))
def test_sizes_are_read_as_they_are_written(size: int) -> None:
    assert words.read_size(words.write_size(size)) == size


@given(st.text(max_size=200))
def test_any_text_is_a_cron_time_or_refused(text: str) -> None:
    try:
        words.read_cron(text)
    except words.Wrong:
        return
    assert words.cron_fields(text)[:1] in set("0123456789*@SMTWFJANDOLoffnever,/- ") | {""}


@pytest.mark.parametrize("text", ["1," * 5000 + "1 * * * *", "* * * * 8", "0 0 30 2 *", "@reboot"])
def test_odd_cron_times_are_refused(text: str) -> None:
    with pytest.raises(words.Wrong):
        words.read_cron(text)


def test_monday_is_one() -> None:
    assert words.read_cron("0 4 * * MON") == "0 4 * * MON"
    assert words.cron_fields("@weekly") == "0 0 * * 0"


@pytest.mark.parametrize("text", ["0770", "0777", "0057", "755x", "8", "01755"])
def test_modes_that_let_others_write_are_refused(text: str) -> None:
    with pytest.raises(words.Wrong):
        words.read_mode(text)


@pytest.mark.parametrize(
    "text",
    ["..", ".a", "a.", "-a", "a/b", "a b", "a\n", "é", "x" * 65, "", "a.lock", "envs", "ENVS"],
)
def test_names_that_are_no_folder_of_ours_are_refused(text: str) -> None:
    with pytest.raises(words.Wrong):
        words.read_namespace(text)


# ---------------------------------------------------------------- the documents


def test_example_loads() -> None:
    messages = config.check(EXAMPLE)
    assert [m.text for m in messages if m.level is not Level.WARNING] == []
    assert config.load(EXAMPLE).sources[0].name == "team"


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    settings = config.load(EXAMPLE)
    again = config.load(written(tmp_path, config.show(settings)))
    assert replace(again, path=None) == replace(settings, path=None)


def test_what_is_shown_has_no_secret(load: Any) -> None:
    shown = config.show(load("proxy: http://me:CANARY-PW@proxy.example.org:3128"))
    assert "proxy: http://***@proxy.example.org:3128" in shown


def test_every_key_is_in_the_example_with_its_default() -> None:
    node = yamltext.load(EXAMPLE.read_bytes(), path="", limits=yamltext.Limits(max_depth=99))
    schema = config.schema()
    for path, field in leaves(schema, schema):
        value = _at(node, path)
        assert value is not None, f"{'.'.join(path)} is missing"
        assert _tells(value, field.get("default")), f"{'.'.join(path)}: {field.get('default')}"


def test_every_word_of_a_source_and_a_namespace_is_in_the_example() -> None:
    text = EXAMPLE.read_text()
    sources = text[text.index("\nsources:") : text.index("\nwatch:")]
    assert all(re.search(rf"\b{key}:", sources) for key in own_keys(SourceEntry))
    namespaces = text[text.index("# Where one namespace differs") :]
    assert all(re.search(rf"\b{key}\b", namespaces) for key in NamespaceEntry.model_fields)


def test_every_key_is_documented_with_its_default_and_meaning() -> None:
    page = (REPO / "docs/configuration.md").read_text()
    schema = config.schema()
    source = schema["$defs"]["SourceEntry"]["properties"]
    fields = [(".".join(path), field) for path, field in leaves(schema, schema)]
    fields += [(key, source[key]) for key in own_keys(SourceEntry)]
    given = schema["$defs"]["Credentials"]["properties"]
    fields += [(f"credentials.{key}", field) for key, field in given.items()]
    fields += [("description", schema["$defs"]["NamespaceEntry"]["properties"]["description"])]
    for key, field in fields:
        if key not in ("sources", "namespaces"):
            assert f"| `{key}` | {_cell(field.get('default'))} | {field['description']} |" in page
    assert all(f"`{key}`" in page for key in NamespaceWords.model_fields)


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("forge", Forge),
        ("notify", NotifyEntry),
        ("login.oidc", Oidc),
        ("login.jupyterhub", Hub),
        ("login.proxy", ProxyUser),
    ],
)
def test_every_key_of_who_is_told_is_documented_with_its_meaning(
    name: str, section: type[Section]
) -> None:
    page = (REPO / "docs/configuration.md").read_text()
    for key, field in section.model_fields.items():
        told = rf"\| `{re.escape(name)}\.{key}` \| [^|]*\| {re.escape(str(field.description))} \|"
        assert re.search(told, page), key


def test_schema_is_json_and_knows_the_defaults() -> None:
    schema = json.loads(json.dumps(config.schema()))
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Web"]["properties"]["listen"]["default"] == "127.0.0.1:8080"
    assert schema["$defs"]["SourceEntry"]["required"] == ["name"]


def test_defaults_of_the_schema_are_those_in_force(tmp_path: Path) -> None:
    schema = config.schema()
    given: dict[str, Any] = {}
    for path, field in leaves(schema, schema):
        if "default" in field and path != ("root",):
            section = given.setdefault(path[0], {}) if path[1:] else given
            section[path[-1]] = field["default"]
    settings = config.load(written(tmp_path, yaml.safe_dump(given)))
    assert replace(settings, path=None) == config.default(root=tmp_path / "envwatch-data")
    assert settings.space == SpaceSettings()


def leaves(
    document: dict[str, Any], section: dict[str, Any], path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key of the schema that is no section, with the keys that lead to it."""
    found = []
    for key, field in section["properties"].items():
        names = [part["$ref"] for part in field.get("anyOf", ()) if "$ref" in part]
        if names:
            below = document["$defs"][names[0].rpartition("/")[2]]
            # what must be given as a whole has no default
            found += leaves(document, below, (*path, key)) if "required" not in below else []
        else:
            found.append(((*path, key), field))
    return found


def own_keys(section: type[NamespaceWords]) -> list[str]:
    return [key for key in section.model_fields if key not in NamespaceWords.model_fields]


def _at(node: yamltext.Node | None, path: tuple[str, ...]) -> yamltext.Node | None:
    for key in path:
        node = node.get(key) if node else None
    return node


def _tells(node: yamltext.Node, default: Any) -> bool:
    """Is the value the default, or does the comment beside it say the default?"""
    if default in (None, "", [], {}):
        return node.null or not (node.text or node.items) or bool(node.items or node.entries)
    if isinstance(default, list):
        written = [item.text for item in node.items]
        return written == default
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return text in (node.text, node.comment.partition("default: ")[2])


def _cell(default: Any) -> str:
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, list):
        return f"`[{', '.join(default)}]`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_what_a_repository_may_say_differs_by_namespace(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "repo_settings: {allow: [labels], keep_last: 50, update_every: 12h}\n"
        "sources: [{name: a, git: x}, {name: b, git: y, repo_settings: {allow: []}}]\n"
    )
    settings = config.load(path, root=tmp_path / "root")
    assert settings.namespace("a").repo == RepoRules(("labels",), keep_last=50, update_every=43200)
    assert settings.namespace("b").repo.allow == ()
    assert settings.namespace("b").repo.keep_last == 50


# ---------------------------------------------------------------- locks in git


def keys(folder: Path) -> None:
    for name in ("read", "write", "hosts"):
        (folder / name).write_text("x")
        (folder / name).chmod(0o600)


def test_an_empty_write_back_takes_all_defaults_and_the_key_of_the_source(
    load: Any, tmp_path: Path
) -> None:
    keys(tmp_path)
    git = "git: 'git@git.example.org:a.git', credentials: {ssh_key: read}"
    settings = load(f"sources: [{{name: one, {git}, write_back: {{}}}}]")
    (source,) = settings.sources
    assert source.write_back == WriteBack(credentials=source.credentials)


def test_a_key_of_its_own_stands_for_all_of_the_sources_credentials(
    load: Any, tmp_path: Path
) -> None:
    keys(tmp_path)
    git = "git: 'git@git.example.org:a.git', credentials: {ssh_key: read, known_hosts: hosts}"
    own = "write_back: {credentials: {ssh_key: write}}"
    (source,) = load(f"sources: [{{name: one, {git}, {own}}}]").sources
    given = source.write_back.credentials
    assert (given.ssh_key.name, given.known_hosts) == ("write", None)


def test_an_age_that_the_solver_does_not_know_is_warned_of(tmp_path: Path) -> None:
    (told,) = remarks(tmp_path, "sources: []\nsolver: conda-lock\nmin_package_age: 3d\n")[1:]
    assert told.startswith("min_package_age: has no effect")
