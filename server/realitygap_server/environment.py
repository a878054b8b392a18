"""What a server passes on to the runs that it starts: its environment without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, MutableMapping

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|COOKIE|BEARER|_DSN$"
    r"|(^|_)(AUTH|PAT|KEYS?|PASS|PASSFILE|NETRC)($|_)|[A-Z](PASS|PASSFILE|KEY)$|.PWD$",
    re.IGNORECASE,
)
_NO_SECRETS = ("OLDPWD",)
_WITH_PASSWORD = re.compile(
    r"://[^/\s@:]*:(?!\d{1,5}/)[^\s@]+@"  # a port and a path with an @ are no password
    r"|(?<!\.)(key|password|passwd|pwd|signature|sig|token|secret)\"?\s*[=:]\s*[^\s;&]"
    r"|-----BEGIN [A-Z ]*PRIVATE",
    re.IGNORECASE,
)


def take(name: str) -> str | None:
    """The value of a variable, which no process that is started from now on gets."""
    return os.environ.pop(name, None)


def without_secrets(environment: MutableMapping[str, str], keep: Iterable[str] = ()) -> list[str]:
    """Removes the variables that look like secrets, by their names or because of a password or key in the value; gives their names.

    A client starts servers with what it needs itself, keys of model providers among them; a skill of a third party, and whoever reads its
    outputs, must not get them. `keep` names those that a skill is meant to have.
    """
    kept = set(keep)
    removed = [
        name
        for name, value in environment.items()
        if name not in kept and name not in _NO_SECRETS and (_SECRET.search(name) or _WITH_PASSWORD.search(value))
    ]
    for name in removed:
        del environment[name]
    return sorted(removed)
