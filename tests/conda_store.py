"""A stand-in for a conda-store: answers by the shapes of its OpenAPI, from data, over real HTTP."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin import Answer, Request, StandIn

TOKEN = "a-token-of-the-store"
DAY = "2024-05-{:02d}T10:00:00.250000"


def spec(name: str, *dependencies: Any, **more: Any) -> dict[str, Any]:
    """A specification as it comes: with every key, empty or not."""
    base = {"name": name, "channels": ["conda-forge"], "dependencies": list(dependencies)}
    return base | {"description": "", "prefix": None, "variables": None} | more


@dataclass
class Held:
    """What it holds of one build."""

    id: int
    environment: int
    status: str
    spec: dict[str, Any]

    def told(self, *, whole: bool) -> dict[str, Any]:
        day = DAY.format(self.id % 28 + 1)
        told = {
            "id": self.id, "environment_id": self.environment, "status": self.status, "size": 1,
            "scheduled_on": day, "started_on": day, "ended_on": day, "status_info": None,
            "specification": None, "packages": None, "build_artifacts": None,
        }  # fmt: skip
        if whole:
            named = {"name": self.spec.get("name", ""), "sha256": "0" * 64, "created_on": day}
            told["specification"] = {"id": self.id, "spec": self.spec, **named}
        return told


@dataclass
class CondaStore(StandIn):
    """`most` is how many things it puts on one page, whatever is asked for."""

    most: int = 2
    environments: list[dict[str, Any]] = field(default_factory=list)
    builds: list[Held] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def add(self, label: str, *builds: tuple[str, dict[str, Any]], current: int = -1) -> None:
        """An environment with its builds, oldest first; `current` is the place of one of them."""
        namespace, name = label.split("/")
        env = next((e for e in self.environments if e["name"] == name), None)
        number = env["id"] if env else len(self.environments) + 1
        held = [
            Held(len(self.builds) + n, number, status, made)
            for n, (status, made) in enumerate(builds, 1)
        ]
        self.builds += held
        if env is None:
            env = {
                "id": number, "name": name, "namespace": {"id": 1, "name": namespace},
                "description": "", "current_build": None,
            }  # fmt: skip
            self.environments.append(env)
        env["current_build_id"] = held[current].id

    def good(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"status": "error", "message": "not logged in"})
        parts = urlsplit(request.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        path = parts.path.removeprefix("/store/api/v1")
        if path == "/environment/":
            return self._page(self.environments, query)
        if path == "/build/":
            mine = [b for b in self.builds if str(b.environment) == query["environment_id"]]
            # the newest first, as nothing is promised of the order
            return self._page([b.told(whole=False) for b in reversed(mine)], query)
        if path.startswith("/build/"):
            number = int(path.strip("/").split("/")[1])
            return Answer(200, {"status": "ok", "data": self.builds[number - 1].told(whole=True)})
        return Answer(404, {"status": "error", "message": "not found"})

    def _page(self, found: list[Any], query: dict[str, str]) -> Answer:
        page, size = int(query["page"]), min(self.most, int(query["size"]))
        data = found[(page - 1) * size : page * size]
        body = {"status": "ok", "message": None, "data": data}
        return Answer(200, body | {"page": page, "size": size, "count": len(found)})
