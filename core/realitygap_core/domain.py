"""A distribution over named physical parameters: marginals joined by a Gaussian copula, with its exact entropy in nats.

The document (schema 1):

    schema: 1
    model: qube                                   # optional: the robot it is meant for
    parameters:
      mass[pole]: {distribution: log_gaussian, median: 0.024, log_std: 0.03, unit: kg}
      damping[arm]: {distribution: log_uniform, low: 1.0e-6, high: 1.0e-4, unit: N*m*s/rad}
    correlation:                                  # optional
      convention: normal_scores                   # or spearman
      pairs: [{names: ["mass[pole]", "damping[arm]"], value: 0.3}]

Sampling: z ~ N(0, R), x_i = F_i^-1(Phi(z_i)). `convention: normal_scores` gives the entries of R themselves (correlations of the
normal scores, which a Gaussian posterior in its own coordinates has); `spearman` gives rank correlations, turned into
R_ij = 2 sin(pi rho_ij / 6).
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from realitygap_core.errors import CoreError, unknown
from realitygap_core.marginals import Fixed, Marginal, _escape, marginal

Floats = NDArray[np.float64]
SCHEMA = 1
_TOP_KEYS = ("schema", "model", "description", "parameters", "correlation")
_SMALLEST_EIGENVALUE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What is believed, or wanted, of a robot's parameters. Build it with `from_mapping`, or from marginals directly."""

    parameters: Mapping[str, Marginal]
    """Name (`kind[target]`) to its distribution, in the order of the document."""
    model: str | None = None
    """Name or path of the robot model that the parameters belong to."""
    description: str | None = None
    """A sentence for people."""
    correlation: Floats | None = None
    """[n, n] correlation R of the normal scores, in the order of `parameters`; None means independent. Rows of fixed ones are identity."""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What had to be changed to make the document usable."""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Domain:
        """Reads a domain document. Raises `CoreError` with a JSON pointer to what is wrong.

        A correlation matrix that no distribution can have is projected to the nearest one that can, with a Python warning and an entry
        in `warnings`.
        """
        if not isinstance(mapping, Mapping):
            raise CoreError("a domain is a mapping with `schema` and `parameters`", pointer="")
        for key in mapping:
            if key not in _TOP_KEYS:
                raise unknown("key of a domain", str(key), _TOP_KEYS, pointer=f"/{_escape(str(key))}")
        if mapping.get("schema") != SCHEMA:
            raise CoreError(
                f"schema {mapping.get('schema')!r} is not known; this reads schema {SCHEMA}",
                pointer="/schema" if "schema" in mapping else "",
            )
        entries = mapping.get("parameters")
        if not isinstance(entries, Mapping) or not entries:
            raise CoreError("`parameters` must name at least one parameter", pointer="/parameters" if "parameters" in mapping else "")
        parameters = {str(name): marginal(entry, f"/parameters/{_escape(str(name))}") for name, entry in entries.items()}
        correlation, notes = _read_correlation(mapping.get("correlation"), parameters)
        return cls(
            parameters=parameters,
            model=mapping.get("model"),
            description=mapping.get("description"),
            correlation=correlation,
            warnings=notes,
        )

    def to_mapping(self) -> dict[str, Any]:
        """The document, of plain dicts, lists, strings and floats; `from_mapping` gives an equal domain back."""
        document: dict[str, Any] = {"schema": SCHEMA}
        if self.model is not None:
            document["model"] = self.model
        if self.description is not None:
            document["description"] = self.description
        document["parameters"] = {name: m.to_mapping() for name, m in self.parameters.items()}
        if self.correlation is not None:
            names = self.free
            at = [list(self.parameters).index(name) for name in names]
            matrix = self.correlation[np.ix_(at, at)]
            document["correlation"] = {
                "convention": "normal_scores",
                "names": list(names),
                "matrix": [[float(x) for x in row] for row in matrix],
            }
        return document

    @property
    def digest(self) -> str:
        """SHA-256 of the distribution; not of the description and the model's name. The order of parameters is that of the draws."""
        document = {name: value for name, value in self.to_mapping().items() if name not in ("model", "description")}
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters."""
        return tuple(self.parameters)

    @property
    def free(self) -> tuple[str, ...]:
        """Parameters that are not fixed: those that an entropy is over."""
        return tuple(name for name, m in self.parameters.items() if not isinstance(m, Fixed))

    def sample(self, rng: np.random.Generator, n: int) -> dict[str, Floats]:
        """`n` draws: name to values [n], all within their supports."""
        z = rng.standard_normal((n, len(self.parameters)))
        if self.correlation is not None:
            z = z @ np.linalg.cholesky(self.correlation).T
        return {name: m.from_normal(z[:, i]) for i, (name, m) in enumerate(self.parameters.items())}

    def entropies(self) -> dict[str, float]:
        """Marginal entropies of the free parameters, nats, each per its own unit."""
        return {name: self.parameters[name].entropy() for name in self.free}

    def entropy(self, names: Iterable[str] | None = None) -> float:
        """Joint differential entropy of the free parameters (or of `names`) in nats, in physical units.

        The sum of the marginals' + 1/2 log det R: exact for a Gaussian copula (Ma and Sun 2011, joint entropy =
        marginal entropies + copula entropy). A change of unit shifts it; the difference of two domains over the same names does not
        depend on units.
        """
        chosen = tuple(self.free if names is None else names)
        for name in chosen:
            self._get(name)
        return sum(self.parameters[name].entropy() for name in chosen) + self._copula_entropy(chosen)

    def interval(self, name: str, mass: float = 0.95) -> tuple[float, float]:
        """The central interval that holds `mass` of one parameter's marginal: (low, high)."""
        low, high = self._get(name).quantile([(1 - mass) / 2, (1 + mass) / 2])
        return float(low), float(high)

    def medians(self) -> dict[str, float]:
        """The median of each marginal."""
        return {name: float(m.from_normal(0.0)) for name, m in self.parameters.items()}

    def log_density(self, values: Mapping[str, ArrayLike]) -> Floats:
        """Joint log density [n] of the free parameters at `values` (name to [n]); -inf outside the support."""
        missing = [name for name in self.parameters if name not in values]
        if missing:
            raise CoreError(f"no value for parameter '{missing[0]}'")
        columns = {name: np.atleast_1d(np.asarray(values[name], dtype=np.float64)) for name in self.parameters}
        total = np.zeros(np.broadcast_shapes(*(c.shape for c in columns.values())))
        for name, m in self.parameters.items():
            total = total + m.log_density(columns[name])
        if self.correlation is None:
            return total
        inside = np.isfinite(total)
        z = np.stack([np.broadcast_to(m.to_normal(columns[name]), total.shape) for name, m in self.parameters.items()], axis=-1)
        z = np.where(inside[..., None] & np.isfinite(z), z, 0.0)
        factor = np.linalg.cholesky(self.correlation)
        white = np.linalg.solve(factor, z[..., None])[..., 0]
        copula = -0.5 * (white**2).sum(-1) + 0.5 * (z**2).sum(-1) - np.log(np.diag(factor)).sum()
        return np.where(inside, total + copula, -np.inf)

    def _get(self, name: str) -> Marginal:
        if name not in self.parameters:
            raise unknown("parameter", name, self.parameters)
        return self.parameters[name]

    def _copula_entropy(self, names: Sequence[str]) -> float:
        if self.correlation is None or len(names) < 2:
            return 0.0
        at = [list(self.parameters).index(name) for name in names]
        return 0.5 * float(np.linalg.slogdet(self.correlation[np.ix_(at, at)])[1])


def nearest_correlation(matrix: ArrayLike, smallest: float = _SMALLEST_EIGENVALUE) -> Floats:
    """The nearest correlation matrix with eigenvalues of at least about `smallest`: Higham (2002), alternating projections."""
    target = np.asarray(matrix, dtype=np.float64)
    y, correction = target.copy(), np.zeros_like(target)
    for _ in range(200):
        shifted = y - correction
        eigenvalues, vectors = np.linalg.eigh(shifted)
        x = (vectors * np.maximum(eigenvalues, smallest)) @ vectors.T
        correction = x - shifted
        before, y = y, x.copy()
        np.fill_diagonal(y, 1.0)
        if np.max(np.abs(y - before)) < 1e-10:
            break
    # The unit diagonal can leave an eigenvalue just below the floor; a congruence of the last projection has both.
    scale = 1 / np.sqrt(np.diag(x))
    result = x * np.outer(scale, scale)
    np.fill_diagonal(result, 1.0)
    return np.asarray((result + result.T) / 2, dtype=np.float64)


def _read_correlation(entry: Any, parameters: Mapping[str, Marginal]) -> tuple[Floats | None, tuple[str, ...]]:
    if entry is None:
        return None, ()
    here = "/correlation"
    if not isinstance(entry, Mapping):
        raise CoreError("`correlation` is a mapping with `names` and `matrix`, or `pairs`", pointer=here)
    for key in entry:
        if key not in ("convention", "names", "matrix", "pairs"):
            raise unknown(
                "key of a correlation", str(key), ("convention", "names", "matrix", "pairs"), pointer=f"{here}/{_escape(str(key))}"
            )
    convention = entry.get("convention", "normal_scores")
    if convention not in ("normal_scores", "spearman"):
        raise unknown("convention", str(convention), ("normal_scores", "spearman"), pointer=f"{here}/convention")
    if ("pairs" in entry) == ("matrix" in entry):
        raise CoreError("give either `pairs` or `names` with `matrix`", pointer=here)
    order = list(parameters)
    full = np.eye(len(order))

    def index(name: Any, pointer: str) -> int:
        if name not in parameters:
            raise unknown("parameter", str(name), parameters, pointer=pointer)
        if isinstance(parameters[name], Fixed):
            raise CoreError(f"'{name}' is fixed, so it cannot be correlated", pointer=pointer)
        return order.index(name)

    def checked(value: Any, pointer: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1 <= value <= 1:
            raise CoreError(f"a correlation lies in [-1, 1], not {value!r}", pointer=pointer)
        return float(value)

    if "pairs" in entry:
        if not isinstance(entry["pairs"], Sequence) or isinstance(entry["pairs"], str):
            raise CoreError("`pairs` is a list of {names: [a, b], value: r}", pointer=f"{here}/pairs")
        for k, pair in enumerate(entry["pairs"]):
            at = f"{here}/pairs/{k}"
            names = pair.get("names") if isinstance(pair, Mapping) else None
            if not isinstance(names, Sequence) or isinstance(names, str) or len(names) != 2 or "value" not in pair:
                raise CoreError("a pair is {names: [a, b], value: r}", pointer=at)
            i, j = (index(name, f"{at}/names/{m}") for m, name in enumerate(names))
            if i == j:
                raise CoreError(f"'{names[0]}' cannot be paired with itself", pointer=f"{at}/names")
            full[i, j] = full[j, i] = checked(pair["value"], f"{at}/value")
    else:
        names, rows = entry.get("names"), entry["matrix"]
        if not isinstance(names, Sequence) or isinstance(names, str) or len(set(map(str, names))) != len(names):
            raise CoreError("`names` must list each parameter of the matrix once", pointer=f"{here}/names" if "names" in entry else here)
        where = [index(name, f"{here}/names/{k}") for k, name in enumerate(names)]
        if not isinstance(rows, Sequence) or len(rows) != len(names):
            raise CoreError(f"the matrix needs {len(names)} rows, one a name", pointer=f"{here}/matrix")
        for r, row in enumerate(rows):
            if not isinstance(row, Sequence) or len(row) != len(names):
                raise CoreError(f"row {r} needs {len(names)} numbers", pointer=f"{here}/matrix/{r}")
            for c, value in enumerate(row):
                number = checked(value, f"{here}/matrix/{r}/{c}")
                if r == c and abs(number - 1) > 1e-9:
                    raise CoreError(f"the diagonal is 1, not {number:g}", pointer=f"{here}/matrix/{r}/{c}")
                if c < r and abs(number - full[where[c], where[r]]) > 1e-9:
                    raise CoreError("the matrix is not symmetric here", pointer=f"{here}/matrix/{r}/{c}")
                full[where[r], where[c]] = 1.0 if r == c else number
    if convention == "spearman":
        full = 2 * np.sin(np.pi * full / 6)
        np.fill_diagonal(full, 1.0)
    smallest = float(np.linalg.eigvalsh(full)[0])
    if smallest >= _SMALLEST_EIGENVALUE / 2:
        return full, ()
    repaired = nearest_correlation(full)
    change = float(np.max(np.abs(repaired - full)))
    note = (
        f"the correlation matrix has an eigenvalue of {smallest:.2g}, so no distribution has it; "
        f"the nearest one that works was taken, its entries changed by up to {change:.2g}"
    )
    warnings.warn(note, stacklevel=3)
    return repaired, (note,)
