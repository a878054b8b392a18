"""From an entry `{term, params}` of a task file to the term that it names, with the place of every error."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from realitygap_core.errors import CoreError, unknown
from realitygap_core.fields import escape, field
from realitygap_core.robot import Robot
from realitygap_core.terms.term import Scene

_T = TypeVar("_T")


class Catalog(Protocol):
    """Where components come from: `realitygap.components.Catalog`, or anything with this method.

    If it also has `check(kind, name, parameters, *, pointer) -> parameters`, parameters are checked against their JSON Schema first.
    """

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        """The factory of a component. Raises an exception with a message (and a `hint`) for an unknown kind or name."""
        ...


class Builder:
    """Makes terms of entries `{term, params}`, and gives their errors a place."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def one(self, kind: str, entry: Mapping[str, Any], pointer: str, first: Scene | Robot, result: type[_T]) -> _T:
        if not isinstance(entry, Mapping):
            raise CoreError(f"a {kind} is a mapping with `term`, not {type(entry).__name__}", pointer=pointer)
        name = field(entry, "term", str, pointer, required=True)
        params = field(entry, "params", Mapping, pointer, default={})
        factory = self._factory(kind, name, f"{pointer}/term")
        _check_parameters(factory, params, name, pointer)
        params = self._checked(kind, name, params, f"{pointer}/params")
        try:
            made = factory(first, **params)
        except CoreError as error:
            place = f"{pointer}/params{error.pointer}" if error.pointer and error.pointer.split("/")[1] in params else pointer
            raise CoreError(error.message, where=error.where, pointer=place, hint=error.hint) from None
        except (TypeError, ValueError) as error:
            raise CoreError(
                f"{kind} '{name}' refuses its parameters: {error}", pointer=f"{pointer}/params" if params else pointer
            ) from error
        if not isinstance(made, result):
            raise CoreError(f"{kind} '{name}' gave a {type(made).__name__}, not a {result.__name__}", pointer=f"{pointer}/term")
        return made

    def _checked(self, kind: str, name: str, params: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        check = getattr(self._catalog, "check", None)
        if check is None:
            return params
        try:
            return cast("Mapping[str, Any]", check(kind, name, params, pointer=pointer))
        except Exception as error:
            raise placed(error, pointer) from error

    def _factory(self, kind: str, name: str, pointer: str) -> Callable[..., Any]:
        try:
            return self._catalog.load(kind, name)
        except Exception as error:
            raise placed(error, pointer) from error


def placed(error: Exception, pointer: str) -> CoreError:
    """A catalog's own kind of error: message, hint and place are kept, a missing place is added."""
    message = str(getattr(error, "message", error))
    return CoreError(message, pointer=getattr(error, "pointer", None) or pointer, hint=getattr(error, "hint", None))


def _check_parameters(factory: Callable[..., Any], params: Mapping[str, Any], name: str, pointer: str) -> None:
    signature = inspect.signature(factory).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
        return
    known = {parameter.name: parameter for parameter in signature if parameter.kind is parameter.KEYWORD_ONLY}
    for key in params:
        if key not in known:
            raise unknown(f"parameter of '{name}':", key, known, pointer=f"{pointer}/params/{escape(str(key))}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in params:
            raise CoreError(f"'{name}' needs the parameter '{key}'", pointer=pointer, hint=f"it takes: {', '.join(known)}")
