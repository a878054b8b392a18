"""The SQLite index over the run folders. The folders are the truth: a lost or damaged index is built again from them."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from realitygap.errors import RunFailed
from realitygap.run_status import created, read_about, read_result
from realitygap.workspace import read_json

Result = TypeVar("Result")

_VERSION = 1
_SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, skill TEXT, state TEXT, created REAL, seconds REAL, seed INTEGER, message TEXT);
CREATE TABLE steps (folder TEXT PRIMARY KEY, key TEXT, run TEXT, skill TEXT, step TEXT, finished REAL);
CREATE INDEX steps_by_key ON steps (key, finished);
CREATE INDEX steps_by_step ON steps (skill, step, finished);
"""
_lock = threading.Lock()


class RunIndex:
    """Rows of runs and of finished steps under `HOME/index.sqlite`; safe to use from several processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "index.sqlite"

    def hold(self) -> Callable[[], None]:
        """Stays connected until the returned function is called: whoever closes the last connection writes the whole log into the file."""
        connection = self._connect(any_thread=True)
        connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone()
        return connection.close

    def put_run(self, row: dict[str, Any]) -> None:
        names = ("id", "skill", "state", "created", "seconds", "seed", "message")
        values = [row.get(name) for name in names]
        self._write(f"INSERT OR REPLACE INTO runs ({', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def put_step(self, folder: Path, facts: dict[str, Any]) -> None:
        """Records a finished step; `facts` is its `step.json`."""
        relative = folder.relative_to(self.home).as_posix()
        values = (relative, facts.get("key"), facts.get("run"), facts.get("skill"), facts.get("step"), facts.get("finished"))
        self._write("INSERT OR REPLACE INTO steps (folder, key, run, skill, step, finished) VALUES (?, ?, ?, ?, ?, ?)", values)

    def forget(self, run: str) -> None:
        self._write("DELETE FROM runs WHERE id = ?", (run,))
        self._write("DELETE FROM steps WHERE run = ?", (run,))

    def runs(self) -> list[dict[str, Any]]:
        """Newest first."""
        names = ("id", "skill", "state", "created", "seconds", "seed", "message")
        rows = self._read(f"SELECT {', '.join(names)} FROM runs ORDER BY created DESC, id DESC", ())
        return [dict(zip(names, row, strict=True)) for row in rows]

    def steps_with_key(self, key: str) -> Iterator[Path]:
        """Folders of finished steps with a key, newest first."""
        for (folder,) in self._read("SELECT folder FROM steps WHERE key = ? ORDER BY finished DESC", (key,)):
            yield self.home / folder

    def latest_step(self, skill: str, step: str) -> Path | None:
        """Folder of the newest finished step of that id and skill, else of that skill."""
        query = "SELECT folder FROM steps WHERE skill = ? ORDER BY step = ? DESC, finished DESC LIMIT 20"
        for (folder,) in self._read(query, (skill, step)):
            place = self.home / str(folder)
            if (place / "key.json").is_file():
                return place
        return None

    def rebuild(self) -> None:
        """Builds the index from the folders."""
        with _lock:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            with closing(self._connect()) as connection, connection:
                for marker in sorted((self.home / "runs").glob("[!.]*/run.json")):
                    self._index_folder(connection, marker.parent)

    def _index_folder(self, connection: sqlite3.Connection, folder: Path) -> None:
        try:
            about, result = read_about(folder), read_result(folder) or {}
        except RunFailed as error:
            # It is listed, so that somebody looks.
            about, result = {"created": created(folder)}, {"error": {"message": f"{error.where}: {error.message}"}}
        row = (
            folder.name,
            about.get("skill", ""),
            result.get("status", "running"),
            about["created"],
            result.get("seconds"),
            about.get("seed"),
            (result.get("error") or {}).get("message"),
        )
        connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for marker in (folder / "steps").glob("*/step.json"):
            facts = read_json(marker)
            if isinstance(facts, dict):
                place = marker.parent.relative_to(self.home).as_posix()
                values = (place, facts.get("key"), folder.name, facts.get("skill"), facts.get("step"), facts.get("finished"))
                connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?)", values)

    def _connect(self, *, any_thread: bool = False) -> sqlite3.Connection:
        self.home.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=10.0, check_same_thread=not any_thread)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                    for name in ("runs", "steps"):
                        connection.execute(f"DROP TABLE IF EXISTS {name}")
                    for statement in _SCHEMA.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        def act(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute(statement, values)

        self._attempt(act)

    def _read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        if not self.home.is_dir():
            return []
        return self._attempt(lambda connection: connection.execute(statement, values).fetchall())

    def _attempt(self, act: Callable[[sqlite3.Connection], Result]) -> Result:
        """Raises RunFailed where the index can neither be used nor built again, OSError where the disk is full."""
        try:
            if not self.path.exists() and (self.home / "runs").is_dir():
                self.rebuild()
            try:
                with closing(self._connect()) as connection:
                    return act(connection)
            except sqlite3.OperationalError as error:
                # Busy or a full disk is not damage; a missing table is.
                if "no such" not in str(error) and "malformed" not in str(error):
                    raise
            except sqlite3.DatabaseError:
                pass
            self.rebuild()
            with closing(self._connect()) as connection:
                return act(connection)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "No space left on device", str(self.path)) from None
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise
            hint = "move it away: it is built again from the folders of the runs"
            raise RunFailed(f"the index of the runs cannot be used: {error}", where=str(self.path), hint=hint) from None
