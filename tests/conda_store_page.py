"""conda-store's page served as operators serve it: its files, and an `index.html` with settings."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import node_programs
import pytest
from needs import lack

EXTENSION = "jupyterlab-conda-store==2024.11.1"
INDEX = """\
<!doctype html>
<meta charset="utf-8">
<title>conda-store</title>
<script>var condaStoreConfig = {settings};</script>
<script defer src="/main.js"></script>
<link href="/main.css" rel="stylesheet">
<body></body>
"""


def index(settings: dict[str, str]) -> bytes:
    return INDEX.replace("{settings}", json.dumps(settings)).encode()


class Handler(SimpleHTTPRequestHandler):
    """Every address but those of its files is one of the page's own."""

    def __init__(self, *given: object, page: bytes, **more: object) -> None:
        self.page = page
        super().__init__(*given, **more)  # type: ignore[arg-type]  # as the server calls it

    def do_GET(self) -> None:
        if self.path.partition("?")[0] in ("/main.js", "/main.css"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def lab_extension(factory: pytest.TempPathFactory) -> Path:
    """What `JUPYTER_PATH` has to hold for JupyterLab to have the page in a tab."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "conda-store-lab"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.whl")):
            _download(folder)
    return next(folder.glob("*.data")) / "data/share/jupyter"


def _download(folder: Path) -> None:
    pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", EXTENSION)
    env = os.environ | {"HOME": str(folder)}  # what pip asks for its greeting writes there
    done = subprocess.run(
        pip, cwd=folder, capture_output=True, text=True, check=False, timeout=200, env=env
    )
    if done.returncode:
        lack(f"{EXTENSION} cannot be had: {done.stderr.strip()[-300:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)


@contextmanager
def jupyterlab(folder: Path, extension: Path, address: str, house: str) -> Iterator[None]:
    """JupyterLab of one person, whose settings say where envwatch is."""
    settings = folder / "settings/jupyterlab-conda-store/plugin.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    said = {"apiUrl": f"{house}/", "authMethod": "cookie", "loginUrl": f"{house}/signin?next="}
    settings.write_text(json.dumps(said))
    port = urlsplit(address).port
    command = (
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
    )  # fmt: skip
    places = {
        "HOME": str(folder),
        "JUPYTER_PATH": str(extension),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    with node_programs.program(*command, url=f"{address}/lab", cwd=folder, **places):
        yield


@contextmanager
def served(folder: Path, settings: dict[str, str], port: int = 0) -> Iterator[str]:
    """The address of the page."""
    handler = partial(Handler, page=index(settings), directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
