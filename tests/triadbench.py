"""What the tests of the forms of claims share: a text read, and its one claim judged."""

from __future__ import annotations

from realitygap_plugins.triads.claims import Claim
from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import judge

Members = list[tuple[str, int | None]]
"""Name and trit of each."""


def claims(text: str) -> list[Claim]:
    return find_claims(Text(text), path="x.md")


def read(text: str) -> tuple[str, Members, str, str]:
    """Form, members, and whether the one claim in a text balances and is true."""
    (claim,) = claims(text)
    found = judge(claim, {})
    return claim.form, [(m.name, m.trit) for m in claim.members], found.arithmetic, found.truth
