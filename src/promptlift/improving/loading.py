"""Loading a model: the bundled one, an exported folder, or any other with PyTorch."""

import os
from pathlib import Path

from promptlift.errors import ModelError
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.improving.manifest import Manifest, is_exported
from promptlift.improving.model import LoadedModel
from promptlift.threads import check_threads

BUNDLED = "pocket"
# Names the model to use where none is asked for.
MODEL_VARIABLE = "PROMPTLIFT_MODEL"


def load_model(model: str | Path | None = None, *, threads: int | None = None) -> LoadedModel:
    """Load a model; `Improver.load` describes the parameters and the errors."""
    check_threads(threads)
    place = default_model() if model is None else place_of(model)
    try:
        return _load(place, threads)
    except ModelError as error:
        if model is None and os.environ.get(MODEL_VARIABLE):
            raise ModelError(f"{MODEL_VARIABLE}: {error}") from error
        raise


def default_model() -> str:
    """Folder or Hub name of the model to use where none is asked for."""
    named = os.environ.get(MODEL_VARIABLE)
    return place_of(named) if named else str(bundled_model_path())


def place_of(model: str | Path) -> str:
    """Folder or Hub name of a model as asked for: a folder comes before the bundled model's name.

    Args:
        model: folder, Hub name, or "pocket" for the bundled model, whatever the default is.
    """
    is_name = str(model) == BUNDLED and not Path(model).is_dir()
    return str(bundled_model_path()) if is_name else str(model)


def bundled_model_path() -> Path:
    """The folder of the model that the package carries."""
    return Path(__file__).parents[1] / "models" / BUNDLED


def _load(place: str, threads: int | None) -> LoadedModel:
    folder = Path(place)
    if is_exported(folder):
        return _load_exported(folder, threads)
    if folder == bundled_model_path():
        raise ModelError(f"{folder} holds no bundled model. Reinstall promptlift.")
    from promptlift.improving.engines.torch import load_torch

    return load_torch(place, threads=threads)


def _load_exported(folder: Path, threads: int | None) -> LoadedModel:
    from promptlift.improving.engines.onnx import onnx_engine
    from promptlift.improving.tokenizer_file import read_tokenizer

    manifest = Manifest.read(folder)
    engine = onnx_engine(folder, manifest.family, threads=threads)
    codec = Codec(read_tokenizer(folder / "tokenizer.json"), SpecialTokens(**manifest.tokens))
    return LoadedModel(engine, codec, manifest.card, manifest.model_id)
