"""What is loaded when, and what the base install can do without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["torch", "transformers", "onnxruntime", "onnx", "pyarrow", "accelerate", "sentencepiece"]
# Not heavy as such, but `--help` has no use for them.
UNNEEDED = ["numpy", "tokenizers"]
MAIN = """
import json, sys
from promptlift.cli import main
sys.argv = json.loads(sys.argv[1])
try:
    main()
finally:
    print(*sorted(set(json.loads(sys.argv_of_test)) & set(sys.modules)), file=sys.stderr)
"""


def run(
    *args: str, before: str = "", check: list[str] | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.argv_of_test = {json.dumps(check or [])!r}\n{before}\n{MAIN}"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, json.dumps(["promptlift", *args])],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=120,
    )


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], *([name, "--help"] for name in ("improve", "train", "export"))],
)
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    done = run(*args, check=HEAVY + UNNEEDED)
    assert done.returncode == 0
    assert "promptlift" in done.stdout
    assert done.stderr.strip() == ""


def test_completion_loads_nothing_heavy() -> None:
    done = run(
        check=HEAVY + UNNEEDED,
        _PROMPTLIFT_COMPLETE="complete_bash",
        COMP_WORDS="promptlift imp",
        COMP_CWORD="1",
    )
    assert done.stdout.split() == ["improve"]
    assert done.stderr.strip() == ""


def test_the_package_itself_loads_nothing_heavy() -> None:
    code = f"import promptlift, sys; print([m for m in {HEAVY + UNNEEDED} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_base_install_improves_without_the_extras(exported: Path) -> None:
    absent = [name for name in HEAVY if name != "onnxruntime"]
    before = f"sys.modules.update(dict.fromkeys({absent}))"
    args = ["improve", "a cat", "--model", str(exported), "--seed", "0", "--threads", "1"]
    done = run(*args, "--max-new-tokens", "4", before=before)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a cat")


@pytest.mark.parametrize(
    ("args", "extra"),
    [
        (["improve", "a cat", "--output", "out.parquet"], "parquet"),
        (["improve", "a cat", "--model", "folder-of-a-t5"], "train"),
        (["export", "folder-of-a-t5", "--output", "out"], "train"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(
    args: list[str], extra: str, exported: Path, tmp_path: Path
) -> None:
    absent = [name for name in HEAVY if name != "onnxruntime"]
    before = f"import os; os.chdir({str(tmp_path)!r}); sys.modules.update(dict.fromkeys({absent}))"
    if "--model" not in args and args[0] == "improve":
        args = [*args, "--model", str(exported)]
    done = run(*args, before=before)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("promptlift: error: ")
    assert f"pip install 'promptlift[{extra}]'" in line
