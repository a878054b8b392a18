"""A contract test for plugins, ready to be subclassed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, ClassVar

import pytest

if TYPE_CHECKING:
    from realitygap.promises.examination import Examination


class PluginContract:
    """What every plugin promises, one test a promise.

        class TestContract(PluginContract):
            plugin = "joint_speed"

    It sees what comes with realitygap, this plugin, and those named in `beside`.
    """

    plugin: ClassVar[str]
    """Name of the plugin: that of its entry point."""
    beside: ClassVar[Collection[str]] = ()
    """Other plugins that this one needs."""
    allow: ClassVar[Collection[str]] = ()
    """Codes of rules of `skills check` whose findings are accepted."""
    without_example: ClassVar[Collection[str]] = ()
    """Skills that need no example, because they start from what no example can name."""
    timeout_s: ClassVar[float] = 600.0
    """Time for all examples together."""
    _examination: ClassVar[Examination | None] = None

    @pytest.fixture
    def examination(self, tmp_path_factory: pytest.TempPathFactory) -> Examination:
        """The plugin, found once and its examples run once for all tests of the class."""
        from realitygap.errors import InputError
        from realitygap.promises.examination import Examination

        cls = type(self)
        if cls._examination is None:
            folder = tmp_path_factory.mktemp("contract")
            try:
                cls._examination = Examination(
                    cls.plugin, folder, beside=cls.beside, allow=cls.allow, without_example=cls.without_example, timeout_s=cls.timeout_s
                )
            except InputError as error:
                pytest.fail(str(error), pytrace=False)
        return cls._examination

    def test_schema(self, examination: Examination) -> None:
        """plugin.yaml and every skill.yaml are what their schemas and the rules on names say."""
        self._kept("schema", examination)

    def test_guide(self, examination: Examination) -> None:
        """Every skill has a SKILL.md that conforms to Agent Skills and agrees with its skill.yaml."""
        self._kept("guide", examination)

    def test_triads(self, examination: Examination) -> None:
        """Every skill declares a group, and every group balances."""
        self._kept("triads", examination)

    def test_rules(self, examination: Examination) -> None:
        """No rule that a plugin brings finds anything, its own among them."""
        self._kept("rules", examination)

    def test_entry(self, examination: Examination) -> None:
        """What the manifests name can be imported and called, and the hooks register what plugin.yaml declares."""
        self._kept("entry", examination)

    def test_examples(self, examination: Examination) -> None:
        """Every skill has an example, each runs, and gives what it expects."""
        self._kept("examples", examination, needs_extras=True)

    def test_determinism(self, examination: Examination) -> None:
        """Two processes with the same seed give the same outputs and artifacts, bit for bit."""
        self._kept("determinism", examination, needs_extras=True)

    def test_no_writes_outside_the_run(self, examination: Examination) -> None:
        """A run writes into its own folder, or where the user says."""
        self._kept("no_writes_outside", examination, needs_extras=True)

    def test_honest_units(self, examination: Examination) -> None:
        """Every number says its unit, and none contradicts its name."""
        self._kept("honest_units", examination)

    def _kept(self, promise: str, examination: Examination, *, needs_extras: bool = False) -> None:
        from realitygap.errors import InputError
        from realitygap.promises import kept

        broken: Callable[[Examination], Iterator[str]] = getattr(kept, promise)
        try:
            lines = list(broken(examination))
        except InputError as error:
            pytest.fail(str(error), pytrace=False)
        if lines:
            pytest.fail("\n".join(lines), pytrace=False)
        if needs_extras and examination.unusable:
            told = ", ".join(f"{name} needs the extra '{extra}'" for name, extra in examination.unusable.items())
            pytest.skip(f"not all could run: {told}")
