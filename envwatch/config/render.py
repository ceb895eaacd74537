"""The settings in force in the words of the config: for `config show`, and for editors."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yaml

from envwatch.config.sections import Config
from envwatch.config.words import write_duration, write_mode, write_size
from envwatch.redact import redact
from envwatch.settings import (
    NO_CREDENTIALS,
    AccessSettings,
    Credentials,
    ForgeSettings,
    Grant,
    HubSettings,
    LoginSettings,
    NamespaceSettings,
    NotifierSettings,
    OidcSettings,
    Previews,
    Settings,
    SourceKind,
    SourceSettings,
)

HEADER = "# the settings in force; sizes and durations as they are counted, secrets as ***\n"


def show(settings: Settings) -> str:
    """YAML that, put into a file, gives these settings again."""
    text: str = yaml.safe_dump(
        _masked(in_words(settings)), sort_keys=False, allow_unicode=True, width=100
    )
    return HEADER + text


def schema(defaults: Settings) -> dict[str, Any]:
    """The JSON Schema of the config for editors, with the given defaults."""
    document = Config.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "envwatch config"
    words = in_words(defaults)
    # a source without a word of its own shows what holds for each
    words["sources"] = _without_empty(_source(SourceSettings("", SourceKind.GIT, "", url="-")))
    words["sources"].pop("git")
    # what holds for who is not signed in depends on the rest of the config
    words["access"].pop("anonymous")
    _put_defaults(document, document, words)
    return document


def in_words(settings: Settings) -> dict[str, Any]:
    """Nested keys as in the file, values as a person writes them. What is empty is left out."""
    general = namespace_in_words(settings.defaults)
    network, web = settings.network, settings.web
    general["channels"] |= {
        "alias": network.alias,
        "mirrors": {name: list(urls) for name, urls in network.mirrors},
        "auth_file": _path(network.auth_file),
        "retries": network.retries,
        "timeout": write_duration(network.timeout),
    }
    general["builds"] |= {
        "parallel": settings.parallel,
        "max_size": write_size(settings.max_size),
        "sandbox": settings.sandbox,
    }
    words = {
        "root": str(settings.root),
        "sources": [_source(s) for s in settings.sources if not s.base],
        **general,
        "proxy": network.proxy,
        "ca_file": _path(network.ca_file),
        "web": {
            "listen": f"[{web.host}]:{web.port}" if ":" in web.host else f"{web.host}:{web.port}",
            "url": web.url,
            "threads": web.threads,
            "proxy_hops": web.proxy_hops,
            "max_push": write_size(web.max_push),
            "origins": list(web.origins),
        },
        "access": _access(settings.access),
        "login": _login(settings.login),
        "watch": {
            "quiet_period": write_duration(settings.quiet_period),
            "resync": write_duration(settings.resync),
        },
        "space": {
            "floor": write_size(settings.space.floor),
            "quota": write_size(settings.space.quota),
        },
        "schedule": {
            "retention": settings.schedule.retention or "off",
            "verify": settings.schedule.verify or "off",
        },
        "notify": [_notifier(n) for n in settings.notify],
        "log_format": settings.log_format,
        "durability": settings.durability,
        "namespaces": {n.name: _difference(n, settings.defaults) for n in settings.namespaces},
    }
    kept: dict[str, Any] = _without_empty(words)
    return kept


def namespace_in_words(settings: NamespaceSettings) -> dict[str, Any]:
    solve, limits, retention, pip = (
        settings.solve,
        settings.limits,
        settings.retention,
        settings.pip,
    )
    return {
        "channels": {
            "default": list(settings.channels),
            "allowed": list(settings.allowed_channels) or ["*"],
            "priority": "strict" if solve.strict_channel_priority else "flexible",
        },
        "platforms": list(settings.platforms),
        "virtual_packages": list(solve.virtual_packages),
        "solver": solve.solver,
        "solver_executable": solve.executable,
        "builds": {
            "timeout": write_duration(limits.timeout),
            "solve_timeout": write_duration(solve.timeout),
            "silence": write_duration(limits.silence),
            "memory": write_size(limits.memory),
            "log_size": write_size(limits.log_size),
            "link_scripts": settings.link_scripts,
            "compile": settings.compile,
        },
        "retention": {
            "keep_last": retention.keep_last,
            "keep_days": _number(retention.keep_days),
            "grace": write_duration(retention.grace),
        },
        "pip": {
            "index": pip.index,
            "extra_index": list(pip.extra_index),
            "allowed_hosts": list(pip.allowed_hosts),
            "allow_sdist": pip.allow_sdist,
        },
        "update": settings.update or "off",
        "update_policy": settings.update_policy,
        "min_package_age": write_duration(settings.min_package_age),
        "repo_settings": {
            "allow": list(settings.repo.allow),
            "keep_last": settings.repo.keep_last or "",
            "keep_days": _number(settings.repo.keep_days) or "",
            "update_every": write_duration(settings.repo.update_every),
            "platforms": settings.repo.platforms,
        },
        "packages": {
            "required": list(settings.packages.required),
            "included": list(settings.packages.included),
            "constrained": list(settings.packages.constrained),
        },
        "quota": {
            "disk": write_size(settings.quota.disk),
            "builds": settings.quota.builds,
        },
        "archives": settings.archives,
        "group": settings.group,
        "mode": write_mode(settings.mode),
        "description": settings.description,
    }


def _difference(settings: NamespaceSettings, defaults: NamespaceSettings) -> dict[str, Any]:
    """What one namespace says otherwise than the rest, section by section."""
    own, general = namespace_in_words(settings), namespace_in_words(defaults)
    words: dict[str, Any] = {}
    for key, value in own.items():
        if isinstance(value, dict):
            changed = {k: v for k, v in value.items() if v != general[key][k]}
            words |= {key: changed} if changed else {}
        elif value != general[key]:
            words[key] = value
    return words


def _source(source: SourceSettings) -> dict[str, Any]:
    managed = source.kind is SourceKind.MANAGED
    git = bool(source.url) and not managed
    return {
        "name": source.name,
        "git": source.url if git else "",
        "directory": _path(source.directory),
        "managed": True if managed else None,
        **({} if managed else _repository(source)),
        "namespace": source.namespace,
        "include": list(source.include),
        "exclude": list(source.exclude),
        "interval": write_duration(source.interval),
        "timeout": write_duration(source.timeout) if source.url else "",
        "max_files": source.max_files,
        "hook": {"secret_files": [str(f) for f in source.hook_secrets]}
        if source.hook_secrets
        else "",
        "edits": source.edits if git else "",
        "forge": _forge(source.forge) if source.forge else None,
        "write_back": _write_back(source),
        "previews": _previews(source.previews) if source.previews else None,
    }


def _write_back(source: SourceSettings) -> dict[str, Any] | None:
    if source.write_back is None:
        return None
    said = source.write_back
    own = said.credentials if said.credentials != source.credentials else NO_CREDENTIALS
    return {
        "branch": said.branch,
        "credentials": _reached(own),
        "name": said.name,
        "email": said.email,
    }


def _access(access: AccessSettings) -> dict[str, Any]:
    return {
        "anonymous": _roles(access.anonymous),
        "signed_in": _roles(access.signed_in) or "",
        "own_namespace": access.own_namespace,
        "grants": [
            {
                "role": b.grant.role.value,
                "namespaces": [b.grant.pattern],
                "users": list(b.users) or "",
                "groups": list(b.groups) or "",
            }
            for b in access.bindings
        ]
        or "",
    }


def _roles(grants: tuple[Grant, ...]) -> dict[str, str]:
    return {g.pattern: g.role.value for g in grants}


def _login(login: LoginSettings) -> dict[str, Any]:
    return {
        "session": write_duration(login.session),
        "oidc": _provider(login.oidc) if login.oidc else None,
        "jupyterhub": _provider(login.jupyterhub) if login.jupyterhub else None,
        "proxy": {
            "user_header": login.proxy.user_header,
            "groups_header": login.proxy.groups_header,
            "trusted": list(login.proxy.trusted),
            "secret_file": _path(login.proxy.secret_file) if login.proxy.secret_file else None,
        }
        if login.proxy
        else None,
    }


def _provider(said: OidcSettings | HubSettings) -> dict[str, Any]:
    found = asdict(said)
    return {"client_secret_file": _path(found.pop("secret_file")), **found}


def _previews(previews: Previews) -> dict[str, Any]:
    return {
        "refs": list(previews.refs),
        "install": previews.install,
        "most": previews.most,
        "comment": previews.comment,
    }


def _forge(forge: ForgeSettings) -> dict[str, Any]:
    return {
        "kind": forge.kind,
        "token_file": str(forge.token_file),
        "api": forge.api,
        "repository": forge.repository,
        "context": forge.context,
    }


def _notifier(notifier: NotifierSettings) -> dict[str, Any]:
    apprise = notifier.kind == "apprise"
    return {
        "name": notifier.name,
        "webhook": notifier.url,
        "secret_file": "" if apprise else _path(notifier.secret_file),
        "command": list(notifier.command) or None,
        "apprise_file": _path(notifier.secret_file) if apprise else "",
        "events": list(notifier.events),
        "namespaces": list(notifier.namespaces),
    }


def _repository(source: SourceSettings) -> dict[str, Any]:
    """What of a repository is followed, and how it is reached."""
    return {
        "branch": "" if source.kind is SourceKind.MANAGED else source.branch,
        "tag": source.tag,
        "semver": source.semver,
        "ref": source.ref,
        "commit": source.commit,
        "branches": dict(source.branches) or "",
        "credentials": _reached(source.credentials),
        "verify": source.verify.scheme,
        "signers": _path(source.verify.signers),
    }


def _reached(credentials: Credentials) -> dict[str, str] | str:
    given = {
        "ssh_key": _path(credentials.ssh_key),
        "known_hosts": _path(credentials.known_hosts),
        "user": credentials.user,
        "password_file": _path(credentials.password_file),
        "ca_file": _path(credentials.ca_file),
        "proxy": credentials.proxy,
    }
    return given if any(given.values()) else ""


def _path(path: object) -> str:
    return str(path) if path else ""


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _without_empty(value: Any) -> Any:
    """Without what stands for `not given`. A list may be empty on purpose in a namespace."""
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v not in ("", None)}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _put_defaults(document: dict[str, Any], section: dict[str, Any], words: Any) -> None:
    """Write the real defaults into the schema, where pydantic knows only of `not given`."""
    for key, field in section.get("properties", {}).items():
        if field.get("default") is None:
            field.pop("default", None)
        below = _section_of(document, field)
        if isinstance(words, dict) and key in words and below is None:
            field["default"] = words[key]
        if below is not None:
            _put_defaults(document, below, words.get(key) if isinstance(words, dict) else None)


def _section_of(document: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    """The definition that a field refers to, if it is a section or a list of them."""
    parts = [part.get("items", part) for part in field.get("anyOf", ())]
    name: str | None = next((part["$ref"] for part in parts if "$ref" in part), None)
    return document["$defs"][name.rpartition("/")[2]] if name else None
