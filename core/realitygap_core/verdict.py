"""What a diagnosis says: a kind of mismatch, where, how large, how sure, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from realitygap_core.hypotheses import Kind


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One kind of mismatch, or that there is none, or that the logs cannot tell."""

    kind: Kind
    """Which kind."""
    channel: str | None
    """The channel that is wrong (observation), or in which it shows most."""
    parameter: str | None
    """The parameter in which the mismatch is expressed."""
    magnitude: float
    """How far it is from what was believed, in `unit`; for overconfidence the factor by which the intervals are too narrow."""
    low: float | None
    """Lower end of the 95 % interval of a parameter's magnitude, given that this is what is wrong; None without a parameter."""
    high: float | None
    """Upper end."""
    unit: str
    """Unit of the magnitude."""
    confidence: float
    """Posterior probability of this hypothesis among all that were tried."""
    evidence: str
    """What speaks for it, with figures."""
    advice: str
    """What to do."""


ADVICE: dict[Kind, str] = {
    "observation": "correct the sensor or its mapping: {name} = {value:.4g} {unit}; then identify again",
    "latency": "set {name} = {value:.4g} {unit} in the model and identify again: a delay that is left out spoils every other parameter",
    "dynamics": "identify again with {name} free; a value near {value:.4g} {unit} explains these logs",
    "structure": "add {name} to the model, about {value:.4g} {unit}, and identify again; no value of the present parameters replaces it",
    "overconfidence": "widen the parameters' intervals by this factor before training on them (`widen` of adapt-domain)",
    "undecided": "record logs that excite what is in doubt, or let identify-parameters search for structure",
    "none": "the model explains these logs as far as they can tell; go on to training",
}
