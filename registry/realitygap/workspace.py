"""Where runs live, and how files are written so that a kill at any moment leaves either the old or the new one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from realitygap.errors import InputError

FOLDER = ".skills"


def home(start: Path | None = None) -> Path:
    """The folder of runs and caches: `REALITYGAP_HOME`, else `.skills` of the nearest folder that has one, else of the current folder."""
    chosen = os.environ.get("REALITYGAP_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    return start / FOLDER


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Writes a temporary file and renames it; `durable` waits until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path, threading.get_native_id())
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def blank(path: Path, writer: int) -> None:
    """Makes the temporary file with which the main thread of a process is going to write a file."""
    _temporary(path, writer).touch()


def _temporary(path: Path, thread: int) -> Path:
    """One for each thread of the machine; that of a process's main thread is the process."""
    return path.with_name(f".{path.name}.{thread}.tmp")


def write_where_told(path: Path, text: str) -> None:
    """Writes where a user said: through a link, and into a device or a pipe, whose place a renamed file would take."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
    else:
        write_text(path, text, durable=False)


def require_place(path: Path) -> None:
    """Raises `InputError` where no file can be written, before the work for it is done."""
    if os.path.isdir(path):
        raise InputError("a folder, not a file", where=str(path), hint="give the name of a file in it")
    if not os.path.isdir(path.parent):
        raise InputError("there is no such folder to write into", where=str(path.parent), hint=f"mkdir -p {shlex.quote(str(path.parent))}")


def write_json(path: Path, value: Any, *, durable: bool = True, indent: int | None = 1) -> None:
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    """The JSON in a file, or None when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty when it is missing, damaged or something else."""
    value = read_json(path)
    return value if isinstance(value, dict) else {}


def remove_folder(folder: Path) -> None:
    """Removes a folder, first out of sight in one step: a kill in the middle leaves no half of it."""
    grave = folder.with_name(f".{folder.name}.removed")
    folder.replace(grave)
    shutil.rmtree(grave, ignore_errors=True)


def lock(path: Path, *, patience_s: float = 0.0) -> int | None:
    """Takes the exclusive lock of a file; gives the descriptor that holds it, None when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held the lock may have removed the file since: then it excludes nobody.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
