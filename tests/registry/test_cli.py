"""The program `skills` from outside: what it writes where, its exit codes, and what it does not import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from realitygap.cli.commands import COMMANDS
from realitygap.cli.execute import execute
from realitygap.cli.terminal import Color, use_color
from realitygap.extras import MARKERS

HEAVY = ("yaml", "jsonschema", "jsonschema_rs", "jax", "numpy", "mujoco", "pluggy", "mcp", "scipy")


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("REALITYGAP_CACHE", str(tmp_path / "cache"))
    for name in ("REALITYGAP_PLUGINS", "REALITYGAP_DISABLE_PLUGINS", "REALITYGAP_SKILLS_DIR", "GITHUB_ACTIONS"):
        # Set first, so that what the program sets itself is undone too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def skills(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "realitygap.cli", *arguments], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["list", "-h"], ["--help"], ["--version"]])
def test_listing_and_help_import_nothing_heavy(arguments):
    assert skills("list").returncode == 0, "this makes the index"
    heavy = HEAVY if arguments[-1].startswith(("-h", "--h", "--v")) else (*HEAVY, "click")
    code = (
        f"import sys; sys.argv = ['skills', *{arguments!r}]\nfrom realitygap.cli import main\ntry: main()\nfinally:\n"
        f"    print('HEAVY', sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    # The first of the two runs with `-c`, which searches another folder first, makes that folder's entry.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "HEAVY []" in done.stderr


def test_list_as_json_is_one_document_with_every_skill():
    done = skills("list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["entropy-sim2real"]["trit"] == -1
    assert rows["entropy-sim2real"]["kind"] == "pipeline"
    assert rows["check-triads"]["plugin"] == "triads"


def test_in_a_pipe_nothing_is_cut_or_coloured_and_there_is_no_header(capsys):
    assert execute(["list"]) == 0
    out = capsys.readouterr().out
    assert "NAME" not in out
    assert "\x1b" not in out
    assert re.search(r"^check-triads +-1  quick  Judge every", out, re.MULTILINE)


def test_show_gives_the_schemas(capsys):
    assert execute(["show", "check-triads", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["input_schema"]["properties"]["path"]["format"] == "collection"
    assert execute(["show", "check-triads"]) == 0
    assert "skills run check-triads" in capsys.readouterr().out
    assert execute(["show", "check-triads", "--guide"]) == 0
    assert capsys.readouterr().out.startswith("\n# Check triads")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "chek-triads"], 2, "did you mean 'check-triads'?"),
        (["shaw", "x"], 2, "unknown command 'shaw'; did you mean 'show'?"),
        (["check-triads"], 2, "`skills run check-triads` runs it"),
        (["list", "--jsn"], 2, "--json"),
        (["check", "gone"], 2, "gone: no such file"),
        (["check", ""], 2, "a path is empty"),
        (["check", "x" * 5000], 2, "cannot be read: File name too long"),
        (["check", "/dev/null"], 2, "neither a plain file nor a folder"),
        (["check", "--format", "xml"], 2, "xml"),
        (["completion", "tcsh"], 2, "tcsh"),
    ],
)
def test_wrong_use_is_one_clear_message_and_exit_code_2(arguments, code, words, capsys):
    assert execute(arguments) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("words", "code", "message", "skill"),
    [
        (["run", "check-triads", "--nope"], 2, "No such option '--nope'", "check-triads"),
        (["run", "--nope", "check-triads"], 2, "No such option '--nope'", "check-triads"),
        (["--color", "never", "run"], 2, "Missing argument 'NAME'", ""),
        (["run", "check-triads", "--seed", "x"], 2, "Invalid value for '--seed'", "check-triads"),
        (["run", "check-triads", "--explain", "look"], 2, "unknown step 'look'", "check-triads"),
        (["run", "chek-triads", "--dry-run"], 2, "unknown skill 'chek-triads'", "chek-triads"),
        (["run", "check-triads", "--inputs", "gone.json"], 2, "no such file", "check-triads"),
        (["run", "check-triads"], 3, "the index of the runs cannot be used", "check-triads"),
        (["runs", "resume", "last"], 3, "the index of the runs cannot be used", ""),
    ],
)
def test_a_run_that_does_not_come_about_still_prints_its_one_document(words, code, message, skill, tmp_path, capsys):
    (tmp_path / ".skills" / "index.sqlite").mkdir(parents=True)
    assert execute([*words, "--json"]) == code
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert list(document) == ["run", "skill", "status", "seconds", "cached", "outputs", "artifacts", "warnings", "error"]
    assert (document["skill"], document["status"]) == (skill, "failed")
    assert message in document["error"]["message"]
    assert captured.err.startswith("error: ")
    assert execute(words) == code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("odd")])
def test_interrupts_and_faults_end_with_their_codes_without_a_traceback_and_with_the_document(error, monkeypatch, capsys):
    from realitygap.discovery import Registry

    def fail(*_: object) -> None:
        raise error

    monkeypatch.delenv("REALITYGAP_DEBUG", raising=False)
    monkeypatch.setattr(Registry, "discover", fail)
    code = 130 if error is KeyboardInterrupt else 3
    assert execute(["list"]) == code
    assert "Traceback" not in capsys.readouterr().err
    assert execute(["run", "check-triads", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["status"] == ("interrupted" if error is KeyboardInterrupt else "failed")


def test_what_the_user_gave_cannot_drive_the_terminal(tmp_path, capsys):
    assert execute(["run", "look\x1b[31m\nerror: all is lost\udcff"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == r"error: unknown skill 'look\x1b[31m\nerror: all is lost\udcff'"
    (tmp_path / "look.task.yaml").write_text('"a\\eb\\nc": 1\n')
    assert execute(["check", "look.task.yaml"]) == 1
    out = capsys.readouterr().out
    assert r"'a\x1bb\nc'" in out
    assert "\x1b" not in out


def test_a_stdout_that_is_closed_or_full_is_no_traceback(tmp_path):
    for redirection, code in ((">&-", 0), (">/dev/full", 3)):
        done = subprocess.run(
            f"{sys.executable} -m realitygap.cli run chek --json {redirection}; {sys.executable} -m realitygap.cli list {redirection}",
            shell=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr


def test_without_a_word_the_program_says_what_it_can_do(capsys):
    assert execute([]) == 0
    assert "Run a skill or a pipeline." in capsys.readouterr().out


def test_check_exits_with_1_and_prints_the_findings(tmp_path, capsys):
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "skill.yaml").write_text("schema: 1\nname: look\n")
    assert execute(["check", "look", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["summary"]["errors"] == len([one for one in document["findings"] if one["severity"] == "error"])
    assert {"rule", "severity", "path", "line", "column", "message"} <= set(document["findings"][0])
    assert execute(["check", "look", "--format", "concise"]) == 1
    assert "look/skill.yaml:1:1: error RG103: 'trit' is missing" in capsys.readouterr().out


def test_check_works_with_the_base_install_alone():
    absent = sorted({module.partition("/")[0] for modules in MARKERS.values() for module in modules})
    assert {"jax", "mujoco", "mcp", "ray"} <= set(absent)
    blocked = f"import sys\nfor name in {absent!r}: sys.modules[name] = None\n"
    code = blocked + "sys.argv = ['skills', 'check', '--format', 'json']\nfrom realitygap.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["summary"]["errors"] == 0
    assert not [one for one in document["findings"] if one["rule"] == "RG508"]


def test_the_base_install_requires_a_handful_of_distributions():
    base = [line for line in requires("realitygap") or () if "extra ==" not in line]
    assert sorted(re.match(r"[\w.-]+", line)[0].lower() for line in base) == ["click", "jsonschema", "jsonschema-rs", "pluggy", "pyyaml"]


def test_a_skills_dir_reaches_child_processes_by_the_environment(tmp_path, capsys):
    (tmp_path / "mine" / "look").mkdir(parents=True)
    manifest = "schema: 1\nname: look\nversion: '1'\ntrit: 0\nsummary: Look.\nentry: a:b\ninputs: {}\noutputs: {}\n"
    (tmp_path / "mine" / "look" / "skill.yaml").write_text(manifest)
    assert execute(["--skills-dir", "mine", "list"]) == 0
    assert "look" in capsys.readouterr().out
    assert os.environ["REALITYGAP_SKILLS_DIR"] == str(tmp_path / "mine")


def test_no_plugins_leaves_what_comes_with_this_distribution(capsys):
    assert execute(["--no-plugins", "plugins", "--json"]) in (0, 1)
    assert all(row["builtin"] for row in json.loads(capsys.readouterr().out) if row["state"] != "disabled")


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_follows_the_option_then_the_environment_then_the_terminal(environment, terminal, expected, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    class Stream:
        def isatty(self) -> bool:
            return terminal

    for choice, wanted in (("auto", expected), ("always", True), ("never", False)):
        monkeypatch.setattr(Color, "choice", choice)
        assert use_color(Stream()) is wanted


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m realitygap.cli list --json | head -c 1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "["
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_program(shell, capsys):
    assert execute(["completion", shell]) == 0
    assert f"_SKILLS_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_skill_names_are_completed():
    # The name of the program stands in the variable, so ask the way the script does.
    code = "from realitygap.cli.program import program; program.main(prog_name='skills')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"_SKILLS_COMPLETE": "bash_complete", "COMP_WORDS": "skills show check-t", "COMP_CWORD": "2"},
    )
    assert done.stdout.strip() == "plain,check-triads"


def test_every_command_of_the_table_exists_and_says_what_the_table_says():
    from importlib import import_module
    from importlib.util import find_spec

    for name, (path, _text) in COMMANDS.items():
        module, _, attribute = path.partition(":")
        if find_spec(module) is None:
            pytest.fail(f"{name}: no module {module}")
        assert getattr(import_module(module), attribute).name == name


def test_doctor_reports_as_one_document_and_survives_a_jax_that_hangs(tmp_path):
    (tmp_path / "jax.py").write_text("import time; time.sleep(60)")
    done = skills("doctor", "--json", "--timeout", "1", PYTHONPATH=str(tmp_path))
    document = json.loads(done.stdout)
    assert done.returncode == 1
    (devices,) = [item for item in document["items"] if item["name"] == "devices"]
    assert devices["state"] == "broken"
    assert "did not start in 1 s" in devices["text"]
    assert document["versions"]["click"]


def test_a_plugin_that_hangs_at_import_does_not_keep_the_others_from_listing(tmp_path, capsys, monkeypatch):
    site = tmp_path / "site"
    (site / "acme_hang").mkdir(parents=True)
    (site / "acme_hang" / "__init__.py").write_text("while True: pass")
    (site / "acme_hang" / "plugin.yaml").write_text("schema: 1\nname: acme_hang\napi: 1\nhooks: [realitygap_register_checks]\n")
    (site / "acme_hang-1.dist-info").mkdir()
    (site / "acme_hang-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-hang\nVersion: 1\n")
    (site / "acme_hang-1.dist-info" / "entry_points.txt").write_text("[realitygap]\nacme_hang = acme_hang\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("REALITYGAP_PLUGIN_TIMEOUT", "0.5")
    assert execute(["list"]) == 0
    assert "check-triads" in capsys.readouterr().out
    assert execute(["plugins", "--load", "--json"]) == 1
    states = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert states["triads"]["state"] == "loaded"
    assert "did not end in 0.5 s" in states["acme_hang"]["error"]
    assert Path(states["acme_hang"]["directory"]) == site / "acme_hang"


def test_a_command_of_a_plugin_cannot_take_a_name_of_the_program(tmp_path, capsys, monkeypatch):
    site = tmp_path / "site"
    (site / "acme_cmd").mkdir(parents=True)
    (site / "acme_cmd" / "__init__.py").write_text(
        "import click\n@click.command('greet')\ndef greet():\n    click.echo('hello')\n\n\nbroken = 3\n"
    )
    commands = (
        '{list: "acme_cmd:greet", greet: {entry: "acme_cmd:greet", summary: Says hello.}, odd: "acme_cmd:broken", lost: "acme_cmd:lots"}'
    )
    (site / "acme_cmd" / "plugin.yaml").write_text(f"schema: 1\nname: acme_cmd\napi: 1\ncommands: {commands}\n")
    (site / "acme_cmd-1.dist-info").mkdir()
    (site / "acme_cmd-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-cmd\nVersion: 1\n")
    (site / "acme_cmd-1.dist-info" / "entry_points.txt").write_text("[realitygap]\nacme_cmd = acme_cmd\n")
    monkeypatch.syspath_prepend(site)
    assert execute(["greet"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert execute(["acme-cmd/list"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert execute(["list"]) == 0
    assert "check-triads" in capsys.readouterr().out
    assert execute(["--help"]) == 0
    assert "Says hello." in capsys.readouterr().out
    for name, words in (("odd", "is no click command"), ("lost", "unknown attribute")):
        assert execute([name]) != 0
        assert words in capsys.readouterr().err
