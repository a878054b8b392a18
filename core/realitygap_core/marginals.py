"""Distributions of one physical parameter: sampling through normal scores, exact densities and entropies in nats."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from realitygap_core.errors import CoreError, unknown
from realitygap_core.truncation import HALF_LOG_2PIE, Truncation

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Marginal(ABC):
    """The distribution of one parameter, as a monotone map of a standard normal score z."""

    kind: ClassVar[str]
    unit: str = ""
    """Unit of the values, for people; nothing is converted."""

    @abstractmethod
    def from_normal(self, z: ArrayLike) -> Floats:
        """Values whose normal score is `z`: the quantile function at Phi(z)."""

    @abstractmethod
    def to_normal(self, x: ArrayLike) -> Floats:
        """Normal scores of values `x`: the inverse of `from_normal`; -inf or inf outside the support."""

    @abstractmethod
    def log_density(self, x: ArrayLike) -> Floats:
        """Log density per unit of the parameter; -inf outside the support."""

    @abstractmethod
    def entropy(self) -> float:
        """Differential entropy, nats, per unit of the parameter."""

    @abstractmethod
    def problem(self) -> tuple[str, str] | None:
        """What is wrong with the numbers, as (key, message), or None."""

    @property
    def support(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        return -math.inf, math.inf

    def quantile(self, mass: ArrayLike) -> Floats:
        """Value below which a share `mass` of the distribution lies."""
        return self.from_normal(special.ndtri(np.asarray(mass, dtype=np.float64)))

    def numbers(self) -> dict[str, float]:
        """The fields of the document that are numbers."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self) if f.name != "unit")
        return {name: float(value) for name, value in pairs if value is not None}

    def to_mapping(self) -> dict[str, Any]:
        """The parameter's entry in a domain document."""
        return {"distribution": self.kind, **self.numbers(), **({"unit": self.unit} if self.unit else {})}


def _ordered(low: float, high: float) -> tuple[str, str] | None:
    return None if low < high else ("high", f"high {high:g} is not above low {low:g}")


@dataclass(frozen=True, kw_only=True)
class Uniform(Marginal):
    """Equally likely between `low` and `high`."""

    kind: ClassVar[str] = "uniform"
    low: float
    high: float

    def from_normal(self, z: ArrayLike) -> Floats:
        return np.asarray(self.low + (self.high - self.low) * special.ndtr(z), dtype=np.float64)

    def to_normal(self, x: ArrayLike) -> Floats:
        return np.asarray(special.ndtri(np.clip((np.asarray(x) - self.low) / (self.high - self.low), 0, 1)))

    def log_density(self, x: ArrayLike) -> Floats:
        x = np.asarray(x)
        return np.where((x >= self.low) & (x <= self.high), -math.log(self.high - self.low), -np.inf)

    def entropy(self) -> float:
        return math.log(self.high - self.low)

    def problem(self) -> tuple[str, str] | None:
        return _ordered(self.low, self.high)

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, kw_only=True)
class LogUniform(Marginal):
    """Uniform in log x between `low` and `high`, both positive."""

    kind: ClassVar[str] = "log_uniform"
    low: float
    high: float

    def from_normal(self, z: ArrayLike) -> Floats:
        raw = self.low * np.exp(math.log(self.high / self.low) * special.ndtr(z))
        return np.asarray(np.clip(raw, self.low, self.high), dtype=np.float64)

    def to_normal(self, x: ArrayLike) -> Floats:
        share = np.log(np.maximum(x, 1e-300) / self.low) / math.log(self.high / self.low)
        return np.asarray(special.ndtri(np.clip(share, 0, 1)))

    def log_density(self, x: ArrayLike) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        inside = (x >= self.low) & (x <= self.high)
        return np.where(inside, -np.log(np.where(inside, x, 1.0)) - math.log(math.log(self.high / self.low)), -np.inf)

    def entropy(self) -> float:
        mean_log = 0.5 * (math.log(self.low) + math.log(self.high))
        return mean_log + math.log(math.log(self.high / self.low))

    def problem(self) -> tuple[str, str] | None:
        return ("low", f"low {self.low:g} must be positive for a log_uniform") if self.low <= 0 else _ordered(self.low, self.high)

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, kw_only=True)
class Gaussian(Marginal):
    """Normal with `mean` and `std`, unbounded."""

    kind: ClassVar[str] = "gaussian"
    mean: float
    std: float

    def from_normal(self, z: ArrayLike) -> Floats:
        return np.asarray(self.mean + self.std * np.asarray(z), dtype=np.float64)

    def to_normal(self, x: ArrayLike) -> Floats:
        return np.asarray((np.asarray(x) - self.mean) / self.std, dtype=np.float64)

    def log_density(self, x: ArrayLike) -> Floats:
        return np.asarray(-0.5 * self.to_normal(x) ** 2 - math.log(self.std) - 0.5 * math.log(2 * math.pi))

    def entropy(self) -> float:
        return HALF_LOG_2PIE + math.log(self.std)

    def problem(self) -> tuple[str, str] | None:
        return ("std", f"std {self.std:g} must be positive") if self.std <= 0 else None


@dataclass(frozen=True, kw_only=True)
class TruncatedGaussian(Marginal):
    """Normal with `mean` and `std` of the parent, cut to [`low`, `high`]: the maximum-entropy law of that form on that support."""

    kind: ClassVar[str] = "truncated_gaussian"
    mean: float
    std: float
    low: float
    high: float

    @property
    def _cut(self) -> Truncation:
        return Truncation((self.low - self.mean) / self.std, (self.high - self.mean) / self.std)

    def from_normal(self, z: ArrayLike) -> Floats:
        return np.clip(self.mean + self.std * self._cut.from_normal(z), self.low, self.high)

    def to_normal(self, x: ArrayLike) -> Floats:
        return self._cut.to_normal((np.asarray(x) - self.mean) / self.std)

    def log_density(self, x: ArrayLike) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        # Judged on x itself, because (high - mean) / std rounds and would cut off the bound that from_normal returns.
        inside = (x >= self.low) & (x <= self.high)
        y = (x - self.mean) / self.std
        return np.where(inside, -0.5 * y**2 - 0.5 * math.log(2 * math.pi) - self._cut.log_mass - math.log(self.std), -np.inf)

    def entropy(self) -> float:
        return self._cut.entropy() + math.log(self.std)

    def problem(self) -> tuple[str, str] | None:
        if self.std <= 0:
            return "std", f"std {self.std:g} must be positive"
        if wrong := _ordered(self.low, self.high):
            return wrong
        if not math.isfinite(self._cut.log_mass):
            return "mean", f"mean {self.mean:g} with std {self.std:g} is too far from [{self.low:g}, {self.high:g}]"
        return None

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, kw_only=True)
class LogGaussian(Marginal):
    """log x is normal with mean log(`median`) and standard deviation `log_std`; cut to [`low`, `high`] where given."""

    kind: ClassVar[str] = "log_gaussian"
    median: float
    log_std: float
    low: float | None = None
    high: float | None = None

    @property
    def _cut(self) -> Truncation:
        low, high = self.support
        below = (math.log(low / self.median) / self.log_std) if low > 0 else -math.inf
        above = (math.log(high / self.median) / self.log_std) if math.isfinite(high) else math.inf
        return Truncation(below, above)

    def from_normal(self, z: ArrayLike) -> Floats:
        return np.clip(self.median * np.exp(self.log_std * self._cut.from_normal(z)), *self.support)

    def to_normal(self, x: ArrayLike) -> Floats:
        return self._cut.to_normal(np.log(np.maximum(x, 1e-300) / self.median) / self.log_std)

    def log_density(self, x: ArrayLike) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        inside = (x > 0) & (x >= self.support[0]) & (x <= self.support[1])
        log_x = np.log(np.where(inside, x, 1.0))
        y = (log_x - math.log(self.median)) / self.log_std
        value = -0.5 * y**2 - 0.5 * math.log(2 * math.pi) - self._cut.log_mass - math.log(self.log_std) - log_x
        return np.where(inside, value, -np.inf)

    def entropy(self) -> float:
        mean_log = math.log(self.median) + self.log_std * self._cut.mean()
        return self._cut.entropy() + math.log(self.log_std) + mean_log

    def problem(self) -> tuple[str, str] | None:
        if self.median <= 0:
            return "median", f"median {self.median:g} must be positive"
        if self.log_std <= 0:
            return "log_std", f"log_std {self.log_std:g} must be positive"
        if self.low is not None and self.low < 0:
            return "low", f"low {self.low:g} is negative, but a log_gaussian is positive"
        if wrong := _ordered(*self.support):
            return wrong
        return None if math.isfinite(self._cut.log_mass) else ("median", f"median {self.median:g} is too far from [low, high]")

    @property
    def support(self) -> tuple[float, float]:
        return (0.0 if self.low is None else self.low), (math.inf if self.high is None else self.high)


@dataclass(frozen=True, kw_only=True)
class Beta(Marginal):
    """Beta(`alpha`, `beta`) stretched to [`low`, `high`]; alpha = beta = 1 is the uniform."""

    kind: ClassVar[str] = "beta"
    alpha: float
    beta: float
    low: float
    high: float

    def from_normal(self, z: ArrayLike) -> Floats:
        return np.asarray(self.low + (self.high - self.low) * special.betaincinv(self.alpha, self.beta, special.ndtr(z)))

    def to_normal(self, x: ArrayLike) -> Floats:
        share = np.clip((np.asarray(x) - self.low) / (self.high - self.low), 0, 1)
        return np.asarray(special.ndtri(special.betainc(self.alpha, self.beta, share)))

    def log_density(self, x: ArrayLike) -> Floats:
        width = self.high - self.low
        return np.asarray(stats.beta.logpdf(np.asarray(x, dtype=np.float64), self.alpha, self.beta, loc=self.low, scale=width))

    def entropy(self) -> float:
        a, b = self.alpha, self.beta
        inner = special.betaln(a, b) - (a - 1) * special.psi(a) - (b - 1) * special.psi(b) + (a + b - 2) * special.psi(a + b)
        return float(inner) + math.log(self.high - self.low)

    def problem(self) -> tuple[str, str] | None:
        for key in ("alpha", "beta"):
            if getattr(self, key) <= 0:
                return key, f"{key} {getattr(self, key):g} must be positive"
        return _ordered(self.low, self.high)

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, kw_only=True)
class Fixed(Marginal):
    """Always `value`. It has no differential entropy and is left out of every entropy."""

    kind: ClassVar[str] = "fixed"
    value: float

    def from_normal(self, z: ArrayLike) -> Floats:
        return np.full(np.shape(z), self.value, dtype=np.float64)

    def to_normal(self, x: ArrayLike) -> Floats:
        return np.zeros(np.shape(x))

    def log_density(self, x: ArrayLike) -> Floats:
        """0 at the value, -inf elsewhere: a probability, not a density."""
        return np.where(np.asarray(x) == self.value, 0.0, -np.inf)

    def entropy(self) -> float:
        return 0.0

    def problem(self) -> tuple[str, str] | None:
        return None

    @property
    def support(self) -> tuple[float, float]:
        return self.value, self.value


KINDS: dict[str, type[Marginal]] = {
    kind.kind: kind for kind in (Uniform, LogUniform, Gaussian, TruncatedGaussian, LogGaussian, Beta, Fixed)
}


def marginal(entry: Any, pointer: str) -> Marginal:
    """The distribution that a parameter's entry in a domain document describes; a plain number is a fixed value.

    Raises `CoreError` with the JSON pointer of the offending key: unknown distribution, missing, unknown or non-finite number, empty
    support.
    """
    if isinstance(entry, (int, float)) and not isinstance(entry, bool) and math.isfinite(entry):
        return Fixed(value=float(entry))
    if not isinstance(entry, Mapping):
        raise CoreError("a parameter needs a number or a mapping with `distribution` and its numbers", pointer=pointer)
    if "distribution" not in entry:
        raise CoreError("`distribution` is missing", pointer=pointer, hint=f"one of: {', '.join(KINDS)}")
    kind = entry["distribution"]
    if kind not in KINDS:
        raise unknown("distribution", str(kind), KINDS, pointer=f"{pointer}/distribution")
    cls = KINDS[kind]
    known = {f.name: f for f in fields(cls)}
    numbers: dict[str, Any] = {}
    for key, value in entry.items():
        if key in ("distribution", "description"):
            continue
        if key not in known:
            raise unknown(f"key of a {kind}", str(key), known, pointer=f"{pointer}/{_escape(str(key))}")
        if key == "unit":
            numbers[key] = str(value)
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise CoreError(f"{key} must be a finite number, not {value!r}", pointer=f"{pointer}/{key}")
        else:
            numbers[key] = float(value)
    optional = {"unit"} | ({"low", "high"} if cls is LogGaussian else set())
    for key in known:
        if key not in numbers and key not in optional:
            raise CoreError(f"a {kind} needs `{key}`", pointer=pointer, hint=f"its keys: {', '.join(known)}")
    made = cls(**numbers)
    if wrong := made.problem():
        raise CoreError(wrong[1], pointer=f"{pointer}/{wrong[0]}")
    return made


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
