"""Loading a model: the bundled one, an exported folder, any other with PyTorch, or a server's."""

import os
from dataclasses import replace
from pathlib import Path

from promptlift.errors import ConfigError, ModelError
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.improving.manifest import Manifest, is_exported
from promptlift.improving.model import LoadedModel
from promptlift.improving.writing import Model
from promptlift.llm.config import URL_VARIABLE, LLMConfig, base_of
from promptlift.threads import check_threads

BUNDLED = "writer"
# Names the model to use where none is asked for.
MODEL_VARIABLE = "PROMPTLIFT_MODEL"
# Models that the package carried once, each with the last release that did.
EARLIER = {"pocket@74b781a023d3": "0.1.0"}


def load_model(
    model: str | Path | None = None,
    *,
    threads: int | None = None,
    llm: LLMConfig = LLMConfig(),  # frozen
) -> Model:
    """Load a model; `Improver.load` describes the parameters and the errors."""
    if address := address_of(model, llm):
        from promptlift.improving.chat_model import ChatModel

        url, name = address
        return ChatModel(replace(llm, llm_url=url), name)
    if given := [name for name, value in vars(llm).items() if value != getattr(LLMConfig, name)]:
        raise ConfigError(
            f"{', '.join(given)}: for a language model alone; name its server with llm_url"
        )
    check_threads(threads)
    try:
        return _load(default_model() if model is None else place_of(model), threads)
    except ModelError as error:
        if model is None and os.environ.get(MODEL_VARIABLE):
            raise ModelError(f"{MODEL_VARIABLE}: {error}") from error
        raise


def address_of(model: str | Path | None, llm: LLMConfig) -> tuple[str, str | None] | None:
    """Address and name of a server's model, where one is asked for.

    `http://HOST/v1#NAME` is one wherever a model is named. PROMPTLIFT_LLM_URL holds unless a model
    of this machine is named. An address given as `llm_url` comes before that of PROMPTLIFT_MODEL.

    Raises:
        ConfigError: the model and `llm_url` are of two servers.
    """
    name = os.environ.get(MODEL_VARIABLE) if model is None else str(model)
    if name and "://" in name:
        url, _, part = name.partition("#")
        if not llm.llm_url or base_of(llm.llm_url) == base_of(url):
            return url, part or None
        if model is not None:
            raise ConfigError(f"the model is one of {url}, but llm_url is {llm.llm_url}; name one")
        return llm.llm_url, None
    is_here = name is not None and (name == BUNDLED or Path(name).exists())
    if llm.llm_url:
        return llm.llm_url, None if model is None and is_here else name
    url = os.environ.get(URL_VARIABLE, "")
    return (url, name) if url and not is_here else None


def default_model() -> str:
    """Folder or Hub name of the model to use where none is asked for."""
    named = os.environ.get(MODEL_VARIABLE)
    return place_of(named) if named else str(bundled_model_path())


def place_of(model: str | Path) -> str:
    """Folder or Hub name of a model as asked for: a folder comes before the bundled model's name.

    Args:
        model: folder, Hub name, or "writer" for the bundled model, whatever the default is.

    Raises:
        ModelError: an earlier release carried it.
    """
    if Path(model).is_dir():
        return str(model)
    if line := earlier_release(str(model)):
        raise ModelError(f"the model {model} {line}")
    return str(bundled_model_path()) if str(model) == BUNDLED else str(model)


def earlier_release(model: str) -> str | None:
    """For a model that an earlier release carried, what to do; otherwise None.

    Args:
        model: its name, "pocket", or its id, "pocket@74b781a023d3".
    """
    for model_id, release in EARLIER.items():
        if model in (model_id, model_id.partition("@")[0]):
            return (
                f"is not in this release; promptlift {release} carries it: install that release, "
                "or name the model's folder with --model"
            )
    return None


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
    from promptlift.improving.phrase_store import STORE_FILE, PhraseStore
    from promptlift.improving.reranker import RERANKER_FILES, Reranker
    from promptlift.improving.tokenizer_file import read_tokenizer

    manifest = Manifest.read(folder)
    engine = onnx_engine(folder, manifest.family, threads=threads)
    codec = Codec(read_tokenizer(folder / "tokenizer.json"), SpecialTokens(**manifest.tokens))
    reranker = store = None
    if listed := manifest.files.keys() & set(RERANKER_FILES):
        if len(listed) < len(RERANKER_FILES):
            raise ModelError(
                f"{folder}: of {' and '.join(RERANKER_FILES)} the manifest lists one alone. "
                "Export the model again or reinstall promptlift."
            )
        reranker = Reranker.read(folder, threads=threads)
    if STORE_FILE in manifest.files:
        store = PhraseStore.read(folder)
    return LoadedModel(engine, codec, manifest.card, manifest.model_id, reranker, store)
