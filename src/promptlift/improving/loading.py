"""Loading a model: the bundled one, an exported folder, or any other with PyTorch."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from promptlift.errors import ModelError
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.improving.manifest import Manifest, is_exported
from promptlift.improving.model import LoadedModel
from promptlift.threads import check_threads


def load_model(model: str | Path | None = None, *, threads: int | None = None) -> LoadedModel:
    """Load a model; `Improver.load` describes the parameters and the errors."""
    check_threads(threads)
    folder = bundled_model_path() if model is None else Path(model)
    if is_exported(folder):
        return _load_exported(folder, threads)
    if model is None:
        raise ModelError(f"{folder} holds no bundled model. Reinstall promptlift.")
    from promptlift.improving.engines.torch import load_torch

    return load_torch(str(model), threads=threads)


def bundled_model_path() -> Path:
    """The folder of the model that the package carries."""
    return Path(__file__).parents[1] / "models" / "pocket"


def _load_exported(folder: Path, threads: int | None) -> LoadedModel:
    from promptlift.improving.engines.onnx import onnx_engine
    from promptlift.improving.tokenizer_file import read_tokenizer

    manifest = Manifest.read(folder)
    with ThreadPoolExecutor(1) as pool:  # loading a graph leaves Python to others
        loading = pool.submit(onnx_engine, folder, manifest.family, threads=threads)
        codec = Codec(read_tokenizer(folder / "tokenizer.json"), SpecialTokens(**manifest.tokens))
    return LoadedModel(loading.result(), codec, manifest.card, manifest.model_id)
