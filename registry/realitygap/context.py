"""`RunContext`: what a skill function gets besides its inputs."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from realitygap.errors import Cancelled, InputError

if TYPE_CHECKING:
    from realitygap.components import Catalog
    from realitygap.document import Document
    from realitygap.schema import Kind

Item = TypeVar("Item")

_PROGRESS_INTERVAL_S = 0.1


class RunContext:
    """The surroundings of one step.

    A test makes one with `RunContext(folder=tmp_path)`; in a run the worker does. `on_progress(done, total, message)` and
    `on_warning(message)` are where progress and warnings go; `stop` is set when the run is asked to stop; `checkpoint_folder()` gives
    where checkpoints go, and is called when the step first keeps something or looks for what was kept.
    """

    def __init__(
        self,
        *,
        folder: Path,
        seed: int = 0,
        skill: str = "",
        pipeline: str | None = None,
        checkpoint_folder: Callable[[], Path] | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self.folder = folder
        """The step's folder."""
        self.seed = seed
        """Seed of this step; equal seeds and inputs give equal outputs."""
        self.skill = skill
        self.pipeline = pipeline
        """Name of the pipeline, or None when the skill runs alone."""
        self.log = logging.getLogger(f"realitygap.step.{skill or 'skill'}")
        """Kept in the step's log."""
        self.warnings: list[str] = []
        self.figures: list[str] = []
        """Names of the artifacts that the report shows, in order."""
        self._checkpoints = checkpoint_folder or (lambda: folder / "checkpoints")
        self._on_progress = on_progress
        self._on_warning = on_warning
        self._stop = stop or threading.Event()
        self._catalog = catalog
        self._sent_at = 0.0

    # Progress and stopping

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Says how far this step is, in any unit. At most ten a second are passed on; the last one always is. Raises nothing."""
        now = time.monotonic()
        if self._on_progress is None or (now - self._sent_at < _PROGRESS_INTERVAL_S and (total is None or done < total)):
            return
        self._sent_at = now
        self._on_progress(float(done), None if total is None else float(total), message)

    def track(self, iterable: Iterable[Item], message: str = "", total: int | None = None) -> Iterator[Item]:
        """The items, with progress and a check for cancellation between them. Raises Cancelled."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self.progress(0, total, message)
        for done, item in enumerate(iterable, start=1):
            self.check_cancelled()
            yield item
            self.progress(done, total, message)

    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stop.is_set()

    def check_cancelled(self) -> None:
        """Raises Cancelled when the run was asked to stop; a skill lets that pass."""
        if self._stop.is_set():
            raise Cancelled("the run was asked to stop")

    def warn(self, message: str) -> None:
        """A warning that the result shows; the same text only once. Half a surrogate pair, which no file could hold, becomes `?`."""
        message = message.encode("utf-8", "replace").decode()
        if message in self.warnings:
            return
        self.warnings.append(message)
        self.log.warning(message)
        if self._on_warning is not None:
            self._on_warning(message)

    # Files

    def artifact(self, name: str) -> Path:
        """Where the artifact `name` (`policy`, `data/walk.csv`) goes; its parents exist, it itself need not.

        A file written here must not hold absolute paths of the run: a cached step is linked into other runs. Raises ValueError for a name
        that leaves the folder.
        """
        return _inside(self.folder / "artifacts", name)

    def checkpoint(self, name: str) -> Path:
        """A place that survives a killed attempt: the next attempt of this step with the same key finds what was written there.

        Write to a temporary name and rename, since the kill may come at any moment. It is removed when the step has succeeded.
        """
        return _inside(self._checkpoints(), name)

    def figure(self, name: str, fig: Any) -> Path:
        """Saves a matplotlib figure as `figures/NAME.svg` (which the report shows) and `.png`, and closes it. Gives the path of the SVG.

        Its page is cut to what is drawn, but for a figure with `layout="constrained"`, which fits its page.
        """
        path = self.artifact(f"figures/{name}.svg")
        # By name: the registry does not depend on matplotlib; whoever made the figure has it.
        matplotlib, pyplot = import_module("matplotlib"), import_module("matplotlib.pyplot")

        # To find the box around what is drawn takes as long as to draw it.
        constrained = import_module("matplotlib.layout_engine").ConstrainedLayoutEngine
        box = None if isinstance(fig.get_layout_engine(), constrained) else "tight"
        # Text stays text (small, selectable), and the same figure gives the same bytes.
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "realitygap"}):
            fig.savefig(path, bbox_inches=box, metadata={"Date": None})
        fig.set_layout_engine("none")  # what was laid out once stays where it is
        fig.savefig(path.with_suffix(".png"), dpi=130, bbox_inches=box, metadata={"Software": None})
        pyplot.close(fig)
        self._show(path)
        return path

    def picture(self, name: str) -> Path:
        """Where a picture with ending (`swing.gif`, `.svg`, `.png` or `.jpg`) goes that the report shows, moving if it moves."""
        path = self.artifact(f"figures/{name}")
        self._show(path)
        return path

    def _show(self, path: Path) -> None:
        if (relative := path.relative_to(self.folder / "artifacts").as_posix()) not in self.figures:
            self.figures.append(relative)

    def metric(self, name: str, value: float, step: float) -> None:
        """Adds a point of the curve `name` at `step`, which the report draws. A value that is not finite is kept as null."""
        self._checkpoints()  # makes the file one that survives a kill
        number = float(value)
        row = {"name": name, "step": float(step), "value": number if math.isfinite(number) else None}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    # The registry

    def document(self, path: str | Path, kind: Kind) -> Document:
        """Reads a YAML or JSON document (`task`, `domain`, `mapping`) and checks it by its schema.

        Raises InputError with file:line:column.
        """
        from realitygap import schema

        return schema.read_document(Path(path), kind)

    @contextmanager
    def reading(self, path: str | Path | None, kind: Kind) -> Iterator[Any]:
        """The data of a document, None without a path. An error with a `pointer` into it comes out with file:line:column."""
        if path is None:
            yield None
            return
        document = self.document(path, kind)
        with document.locating():
            yield document.data

    def own_domain(self, task: Document) -> str | None:
        """The file of the domain that a task gives by name, or by a path relative to its own file; None where it gives none so.

        Raises InputError with the place in the task for one that is not there.
        """
        named = task.data.get("domain")
        if not isinstance(named, str):
            return None
        from realitygap.discovery import Registry
        from realitygap.inputs import resolve_path

        base = task.path.absolute().parent if task.path else Path.cwd()
        try:
            return resolve_path("domain", named, {"format": "domain"}, Registry.discover().assets, base)
        except InputError as error:
            raise task.error("/domain", error.message, hint=error.hint) from None

    @property
    def catalog(self) -> Catalog:
        """The components of all plugins, loaded on use."""
        if self._catalog is None:
            from realitygap.discovery import Registry

            self._catalog = Registry.discover().catalog
        return self._catalog


def _inside(root: Path, name: str) -> Path:
    relative = PurePosixPath(name)
    if not name or relative.is_absolute() or ".." in relative.parts or "\0" in name or str(relative) == ".":
        raise ValueError(f"'{name}' is not a name inside the step's folder: give a relative path without '..'")
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    # A link below the root may still lead out of it.
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"'{name}' leads out of the step's folder through a link")
    return path
