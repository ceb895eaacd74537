"""`envwatch restore`: a root made again from a backup, under whatever path.

Verified first; then everything is written under a mark that no daemon starts with. A kill leaves
the mark, and the next restore starts over. Prefixes are made again from their locks by the queue.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from envwatch.catalog import Catalog, open_catalog
from envwatch.catalog.remaking import take_over
from envwatch.daemon.manifest import CATALOG, CONFIG, Manifest, unpack, verify
from envwatch.errors import Conflict
from envwatch.git.bare import GC_LIMIT, Bare
from envwatch.model import RUNNING, BuildState
from envwatch.store import Store, sync_folder, write_durably
from envwatch.worker import records

KEPT = ("restoring", "lock")
CONFIG_FILE = "config.restored.yaml"


@dataclass(frozen=True, slots=True)
class Restored:
    """`queued` prefixes are made again by the daemon. `config` is None where none was kept."""

    root: Path
    environments: int
    generations: int
    queued: int
    config: Path | None
    missing: tuple[str, ...]


def restore(root: Path, source: Path) -> Restored:
    """Raises BackupError, Conflict, RootInUse."""
    manifest = verify(source)
    store = Store(root)
    _refuse_filled(store)
    root.mkdir(parents=True, exist_ok=True)
    write_durably(store.restoring, f"from {source.absolute()}\n".encode())
    with store.hold():
        _clear(store)
        store.prepare()
        done = _restored(store, source, manifest)
        store.restoring.unlink()
        sync_folder(root)
    return done


def _refuse_filled(store: Store) -> None:
    if store.restoring.exists() or not store.root.exists():
        return
    # a kill may have left the mark half written
    if any(not p.name.startswith(f".{store.restoring.name}.") for p in store.root.iterdir()):
        raise Conflict(
            f"{store.root}: is not empty, and nothing in it is written over",
            hint="restore into another folder by `--root`, or move this one away",
        )


def _clear(store: Store) -> None:
    """What an earlier restore left that was stopped."""
    for path in store.root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in KEPT:
            path.unlink()


def _restored(store: Store, source: Path, manifest: Manifest) -> Restored:
    unpack(source, manifest, lambda name, blocks: _keep(store, name, blocks))
    for bundle in sorted((store.root / "tmp").glob("*.bundle")):
        _unbundle(store, bundle)
    copy = store.root / "tmp" / CATALOG
    with closing(open_catalog(copy)) as catalog:
        _forget_running(store, catalog)
        said = f"from a backup of {manifest.made_at:%Y-%m-%d %H:%M} UTC"
        queued = take_over(catalog.database, str(store.root), said, artifacts=manifest.artifacts)
        _move_records(store, catalog)
        environments = catalog.generations.environments()
        generations = catalog.generations.all()
    copy.replace(store.catalog)
    sync_folder(store.root)
    config = store.root / CONFIG_FILE
    return Restored(
        root=store.root,
        environments=len(environments),
        generations=len(generations),
        queued=queued,
        config=config if config.exists() else None,
        missing=manifest.missing,
    )


def _keep(store: Store, name: str, blocks: Iterator[bytes]) -> None:
    path = _place(store, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for block in blocks:
            file.write(block)


def _place(store: Store, name: str) -> Path:
    if name == CONFIG:
        return store.root / CONFIG_FILE
    if name == CATALOG or name.startswith("managed/"):
        return store.root / "tmp" / name.rpartition("/")[2]
    return store.root / name


def _unbundle(store: Store, bundle: Path) -> None:
    bare = Bare(store.managed / f"{bundle.stem}.git")
    bare.prepare()
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head")
    bare.run(*fetch, str(bundle), "+refs/*:refs/*", timeout=GC_LIMIT)
    bundle.unlink()


def _forget_running(store: Store, catalog: Catalog) -> None:
    """What ended after the catalog was copied has a record by now, and no files here."""
    for build in catalog.builds.in_state(*RUNNING, BuildState.QUEUED):
        for name in (records.RECORD, records.PUBLISHED_FILE, records.ENDING_FILE):
            (store.record(build.id) / name).unlink(missing_ok=True)


def _move_records(store: Store, catalog: Catalog) -> None:
    """The records name the prefixes of this root, as the catalog does."""
    for generation in catalog.generations.all():
        known = records.result(store, generation.build_id)
        if known is not None:
            moved = records.RESULT.dump_json(replace(known, prefix=generation.prefix))
            write_durably(store.record(generation.build_id) / records.RECORD, moved)
            records.keep_published(store, generation)
