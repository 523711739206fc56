"""Help answers at once, and the base install suffices to improve."""

import subprocess
import sys
from pathlib import Path

import pytest

import promptlift

HEAVY = ("torch", "transformers", "onnxruntime", "onnx", "pyarrow", "tokenizers", "numpy", "scipy")


def modules_after(code: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    for arguments in ("['promptlift', '--help']", "['promptlift', 'improve', '--help']"):
        code = f"sys.argv = {arguments}; from promptlift.cli import main; main()"
        assert not modules_after(code) & set(HEAVY)


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not modules_after("import promptlift") & set(HEAVY)


def test_improving_needs_the_base_install_alone(exported: Path) -> None:
    loaded = modules_after(
        f"from promptlift import Improver; Improver.load({str(exported)!r}).improve('a cat')"
    )
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "transformers", "pyarrow", "onnx"}


def test_public_names_are_those_listed() -> None:
    assert promptlift.__all__ == sorted(promptlift.__all__)
    assert all(hasattr(promptlift, name) for name in promptlift.__all__)


def test_no_public_name_is_unlisted() -> None:
    """In a fresh interpreter, where no test has imported a module of the package yet."""
    code = (
        "import promptlift, types; print(*(name for name, value in vars(promptlift).items() "
        "if name[0] != '_' and not (isinstance(value, types.ModuleType) "
        "and value.__name__.startswith('promptlift.'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Needed above the list, for type checkers alone; not part of what users are offered.
    helpers = {"TYPE_CHECKING", "Any", "import_module"}
    # Loaded on first use, so not yet in the namespace.
    late = set(promptlift._HOMES)
    assert set(done.stdout.split()) - helpers == set(promptlift.__all__) - late
    assert late < set(promptlift.__all__)


def test_version_matches_changelog_and_metadata() -> None:
    root = Path(__file__).parents[1]
    assert f"## [{promptlift.__version__}]" in (root / "CHANGELOG.md").read_text()
    assert f'version = "{promptlift.__version__}"' in (root / "pyproject.toml").read_text()


def test_completion_loads_nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PROMPTLIFT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "promptlift imp")
    monkeypatch.setenv("COMP_CWORD", "1")
    code = "sys.argv = ['promptlift']; from promptlift.cli import main; main()"
    assert not modules_after(code) & set(HEAVY)
    line = [sys.executable, "-c", f"import sys; {code}"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.stdout.split() == ["improve"]


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["improve", "a cat", "--output", "out.parquet"], "parquet"),
        (["improve", "a cat", "--model", "folder-of-a-t5"], "train"),
        (["export", "folder-of-a-t5", "--output", "out"], "train"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(
    arguments: list[str], extra: str, exported: Path, tmp_path: Path
) -> None:
    if arguments[0] == "improve" and "--model" not in arguments:
        arguments = [*arguments, "--model", str(exported)]
    absent = [name for name in HEAVY if name not in ("onnxruntime", "tokenizers", "numpy")]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); "
        f"sys.argv = {['promptlift', *arguments]}; from promptlift.cli import main; main()"
    )
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    [error] = done.stderr.splitlines()
    assert f"pip install 'promptlift[{extra}]'" in error
