"""The part of docs/hooks.md that says what hooks there are, written from `realitygap.hookspecs`."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from realitygap import hookspecs
from realitygap.deprecation import deprecations
from realitygap.hooknames import HOOKS

PAGE = Path(__file__).parents[1] / "docs" / "hooks.md"
BEGIN, END = "<!-- hooks: begin -->", "<!-- hooks: end -->"


def written() -> str:
    """The page with its part on the hooks as the specifications have it now."""
    page = PAGE.read_text("utf-8")
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{sections()}\n{END}{rest.partition(END)[2]}"


def sections() -> str:
    """A section a hook: signature, what `register` takes, text, example."""
    tree = ast.parse(inspect.getsource(hookspecs))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    protocols = {node.name: node.body[0] for node in tree.body if isinstance(node, ast.ClassDef)}
    return "\n".join(_section(functions[name], protocols) for name in sorted(HOOKS, key=lambda one: functions[one].lineno))


def _section(function: ast.FunctionDef, protocols: dict[str, ast.stmt]) -> str:
    text, _, example = (ast.get_docstring(function) or "").partition("Example:\n")
    signature = [f"{function.name}({ast.unparse(function.args)})"]
    for argument in function.args.args:
        call = protocols.get(ast.unparse(argument.annotation)) if argument.annotation else None
        if isinstance(call, ast.FunctionDef):
            call.args.args = [one for one in call.args.args if one.arg != "self"]
            signature.append(f"{argument.arg}({ast.unparse(call.args)})")
    notes = [f"**Deprecated**: {one}.\n" for one in deprecations(hookspecs, function.name, [one.arg for one in function.args.args])]
    code = "\n".join(line.removeprefix("    ") for line in example.strip("\n").split("\n"))
    body = re.sub(r"\n(?!\n)(?<!\n\n)", " ", text.strip())
    return "\n".join([f"### {function.name}\n", "```python", *signature, "```\n", *notes, body + "\n", "```python", code, "```", ""])
