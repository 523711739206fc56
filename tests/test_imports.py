"""Help answers at once, and the base install suffices to improve."""

import subprocess
import sys
from pathlib import Path

import promptlift

HEAVY = ("torch", "transformers", "onnxruntime", "onnx", "pyarrow", "tokenizers", "numpy")


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


def test_version_matches_changelog_and_metadata() -> None:
    root = Path(__file__).parents[1]
    assert f"## [{promptlift.__version__}]" in (root / "CHANGELOG.md").read_text()
    assert f'version = "{promptlift.__version__}"' in (root / "pyproject.toml").read_text()
