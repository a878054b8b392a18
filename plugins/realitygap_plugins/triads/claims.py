"""What documents say about trits: declarations of a skill, and claims about groups. Facts with their place, no verdict yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Numbers = Literal["stated", "declared"]
Source = Literal["manifest", "guide", "document"]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """One place where a skill says its trit."""

    source: str
    """`skill.yaml`, `metadata.trit`, `frontmatter.trit`, `metadata.gf3-trit`, `body` (strongest first); or `injected`: written into a block
    by a tool."""
    trit: int | None
    """The trit, or None where the text is not one."""
    text: str
    """As written."""
    path: str
    line: int
    problem: str | None = None
    """Why `trit` is None."""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Something that is not read because it is too long, or too much."""

    path: str
    line: int
    """Where it begins."""
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: not read: {self.why}"


PRECEDENCE = ("skill.yaml", "metadata.trit", "frontmatter.trit", "metadata.gf3-trit", "metadata.gf3_trit", "body")


@dataclass(frozen=True, kw_only=True)
class SkillRecord:
    """One skill of a collection, with everything that it says about its trit."""

    name: str
    path: str
    """The file that declares it."""
    declarations: tuple[Declaration, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read, for example frontmatter that is not YAML."""
    color: str | None = None
    """`color` of its manifest or frontmatter, as written. It decides nothing."""
    conformance: Callable[[], tuple[str, ...]] = tuple
    """Gives `violations`, for which few ask."""
    unread: bool = False
    """Whether more may stand in its files than could be read."""
    copies: tuple[str, ...] = ()
    """Files of other skills with the same name, whose declarations are joined to these."""

    @cached_property
    def violations(self) -> tuple[str, ...]:
        """Rules of the Agent Skills specification that its guide breaks, such as `RG302 key 'version' ...`; not known without a guide."""
        return self.conformance()

    @property
    def conforms(self) -> bool:
        """Its guide can be read and breaks no rule of the Agent Skills specification."""
        return not self.violations and not self.problems

    @property
    def declared(self) -> Declaration | None:
        """The strongest declaration by an author, whether or not others contradict it; None where there is none."""
        return next(iter(self.authored), None)

    @cached_property
    def authored(self) -> tuple[Declaration, ...]:
        """Declarations by an author, strongest first; injected blocks and unreadable values are left out."""
        found = [d for d in self.declarations if d.source in PRECEDENCE and d.trit is not None]
        return tuple(sorted(found, key=lambda d: PRECEDENCE.index(d.source)))

    @cached_property
    def values(self) -> frozenset[int]:
        """Every trit stated anywhere, injected blocks too."""
        return frozenset(d.trit for d in self.declarations if d.trit is not None)

    @cached_property
    def authored_values(self) -> frozenset[int]:
        return frozenset(d.trit for d in self.authored if d.trit is not None)

    @property
    def trit(self) -> int | None:
        """The declared trit; None where no author declares one, or where the authors disagree: nothing is picked."""
        return next(iter(self.authored_values)) if len(self.authored_values) == 1 else None

    @property
    def conflicting(self) -> bool:
        """More than one trit is stated, be it in an injected block."""
        return len(self.values) > 1

    @property
    def conflicting_authored(self) -> bool:
        return len(self.authored_values) > 1


class Member(NamedTuple):
    """A member of a claimed group."""

    name: str
    """As written; empty in a sum of numbers without names."""
    trit: int | None = None
    """The trit stated beside the name, None if there is none."""
    placeholder: bool = False
    """`[balancer]` and the like: no skill, so that the group says little."""
    problem: str | None = None
    """Why a stated trit could not be read."""


AssertionKind = Literal["balanced", "unbalanced", "differs", "needs", "sum", "residue"]


class Assertion(NamedTuple):
    """One thing that a claim says of its group."""

    kind: AssertionKind
    """`balanced`; `unbalanced`; the sum `differs` from a residue; `needs` a completing trit; an integer `sum`; its `residue` modulo 3."""
    value: int = 0


class Claim(NamedTuple):
    """A group of skills and what is said of it."""

    members: tuple[Member, ...]
    assertions: tuple[Assertion, ...]
    text: str
    path: str
    line: int
    end_line: int = 0
    form: str = "manifest"
    """Which syntactic form it was found in: `manifest`, `line`, `symbols`, `comma`, `names`, `numbers`, `table` or `roles`."""
    numbers: Numbers = "stated"
    """Where the trits come from: `stated` beside each name, or `declared` by the members (a manifest names them only)."""
    owner: str | None = None
    """The skill in whose files it stands."""
    injected: bool = False
    """It stands in a block that a tool wrote."""
    source: Source = "guide"
    """Where it stands: in a skill's `manifest` or `guide`, or in another `document` of the collection."""
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.members)

    @property
    def named(self) -> bool:
        """It says whose trits it sums."""
        return any(m.name for m in self.members)

    @property
    def vacuous(self) -> bool:
        """A member stands for whatever balances the group, so that the sum says nothing."""
        return any(m.placeholder for m in self.members)


def repeated(names: Sequence[str]) -> list[str]:
    """Names that occur more than once, sorted."""
    return sorted({name for name in names if name and names.count(name) > 1})
