"""Loading a CLIP or SigLIP from a folder, the Hub or the package."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlift.devices import find_device
from promptlift.errors import MissingExtraError, ModelError, first_line
from promptlift.picture_files import PictureReader
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.config import POCKET_CLIP
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.world import bundle

KINDS = ("clip", "siglip", "siglip2")
# What is to be downloaded, by calculation: parameters in float32.
GIGABYTES = {
    "openai/clip-vit-base-patch16": 0.6,
    "openai/clip-vit-base-patch32": 0.6,
    "openai/clip-vit-large-patch14": 1.7,
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": 3.9,
    "yuvalkirstain/PickScore_v1": 3.9,
    "google/siglip-base-patch16-224": 0.8,
    "google/siglip-so400m-patch14-384": 3.5,
    "Salesforce/blip-vqa-base": 1.5,
}
_PROCESSOR_FILES = "--include '*.json' --include merges.txt"


def load_clip(
    name: str,
    *,
    processor: str | None = None,
    device: str = "auto",
    offline: bool = False,
    cache: FeatureCache | None = None,
    reader: PictureReader | None = None,
    batch_size: int = 32,
) -> ClipEncoder:
    """Load a CLIP or SigLIP from a folder or the Hub, in float32.

    Args:
        name: folder, Hub name or "pocket".
        processor: folder or Hub name of the tokenizer and picture preparation; the model's own.
        device: auto, cpu, cuda or mps.
        offline: take Hub models from the cache only.
        cache, reader, batch_size: see `ClipEncoder`.

    Raises:
        ModelError: it is not there, cannot be reached, is damaged or of another kind.
        MissingExtraError: PyTorch, transformers or Pillow are not installed.
    """
    source = find_source(name, "a CLIP or SigLIP", offline)
    from transformers import AutoModel

    model = load_weights(source, AutoModel, KINDS, "pictures are scored with CLIP or SigLIP")
    return ClipEncoder(
        model.to(find_device(device)),
        load_processor(source, processor),
        source.label,
        cache=cache,
        reader=reader,
        batch_size=batch_size,
    )


@dataclass(frozen=True)
class Source:
    """Where a model is loaded from: the name that was given, its folder or Hub name, and how."""

    name: str
    place: str
    is_folder: bool
    offline: bool

    @property
    def label(self) -> str:
        """As results show it."""
        if self.name == POCKET_CLIP:
            return f"{bundle.NAME}-clip"
        return Path(self.name).name if self.is_folder else self.name

    def error(self, error: Exception, hint: str) -> ModelError:
        """An error in loading it, in a line."""

        if self.is_folder:
            return ModelError(
                f"model {self.name!r} cannot be loaded: {first_line(error)}. Is the folder whole?"
            )
        tried = (
            " and could not be downloaded: check the name and the connection"
            if not self.offline
            else ""
        )
        return ModelError(f"{self.name} is not on this machine{tried}. {hint}")


def find_source(name: str, what: str, offline: bool) -> Source:
    """Where a model of this name is: its folder, or the Hub.

    Args:
        name: folder, Hub name or "pocket".
        what: kinds that it may be, for the error.
        offline: take Hub models from the cache only.

    Raises:
        ModelError: it is neither a folder nor a Hub name.
        MissingExtraError: PyTorch, transformers or Pillow are not installed.
    """
    try:
        import PIL  # noqa: F401
        import torch  # noqa: F401
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError("Scoring pictures", "score") from error
    logging.disable_progress_bar()
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    place = bundle.CLIP if name == POCKET_CLIP else Path(name).expanduser()
    is_folder = place.is_dir()
    if not is_folder and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        raise ModelError(
            f"model {name!r} is not a folder. Give the folder of {what}, or a Hub name."
        )
    return Source(name, f"{place}" if is_folder else name, is_folder, offline)


def load_weights(source: Source, maker: Any, kinds: Sequence[str], but: str) -> Any:
    """A model in float32 and in evaluation mode, all of its weights there.

    Args:
        source: where it is.
        maker: class of transformers that makes it.
        kinds: model types that it may be.
        but: what to say of any other.

    Raises:
        ModelError: it is of another kind, is not there, or is damaged.
    """
    import torch
    from transformers import AutoConfig

    name, local = source.name, {"local_files_only": source.offline}
    try:
        config = AutoConfig.from_pretrained(source.place, **local)
        if config.model_type not in kinds:
            raise ModelError(f"{name} is a {config.model_type!r} model; {but}.")
        model, report = maker.from_pretrained(
            source.place, dtype=torch.float32, output_loading_info=True, **local
        )
    except ModelError:
        raise
    except Exception as error:  # transformers raises a score of kinds here
        raise source.error(error, download_hint(name)) from error
    if absent := sorted(report["missing_keys"]):
        # transformers fills them with random values and goes on.
        raise ModelError(
            f"{name} lacks {len(absent)} of the model's weights, {absent[0]!r} first. "
            "Download or save the model again."
        )
    return model.eval()


def load_processor(source: Source, other: str | None = None) -> Any:
    """Tokenizer and picture preparation: the model's own, or another's."""
    from transformers import AutoProcessor

    hint = download_hint(source.name)
    if other is not None:
        source = Source(other, other, Path(other).is_dir(), source.offline)
        hint = f"Download its tokenizer (4 MB) with: hf download {other} {_PROCESSOR_FILES}"
    try:
        return AutoProcessor.from_pretrained(source.place, local_files_only=source.offline)
    except Exception as error:
        raise source.error(error, hint) from error


def download_hint(name: str) -> str:
    """What to download, how much, and the command."""
    size = f" ({GIGABYTES[name]} GB)" if name in GIGABYTES else ""
    command = f"hf download {name} --exclude '*.h5' --exclude '*.msgpack'"
    return f"Download it{size} with: {command}"
