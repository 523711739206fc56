"""The model that training begins with: from scratch, or a T5 or Llama, with LoRA or without."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import MissingExtraError
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.improving.loading import place_of
from promptlift.improving.manifest import (
    CARD_FILE,
    PAPER_PREFIX,
    Manifest,
    ModelCard,
    is_exported,
)
from promptlift.records import Pair
from promptlift.training.config import POCKET_DECODING, POCKET_MODES, TrainingConfig
from promptlift.training.tokenizer import save_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Start:
    """A model before its first step.

    Attributes:
        model: in float32; with LoRA, peft's model around it.
        tokenizer: its tokenizer.
        tokens: ids of `pad`, `eos`, `unk` and `decoder_start`.
    """

    model: Any
    tokenizer: "Tokenizer"
    tokens: dict[str, int]

    def encode(self, sources: list[str]) -> list[list[int]]:
        """Token ids of sources, with what the tokenizer puts around a text: T5's has an end."""
        return [item.ids for item in self.tokenizer.encode_batch(sources)]

    def encode_targets(self, targets: list[str]) -> list[list[int]]:
        """Token ids of targets, the end included."""
        return self.codec.encode_targets(targets)

    @property
    def codec(self) -> Codec:
        """The tokenizer as improving uses it."""
        return Codec(self.tokenizer, SpecialTokens(**self.tokens))

    @property
    def unwrapped(self) -> "PreTrainedModel":
        """The T5 or Llama itself, which LoRA changes in place."""
        return self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model

    @property
    def decoder_only(self) -> bool:
        """Whether source and target are one text to the model, as for a Llama."""
        return not self.unwrapped.config.is_encoder_decoder


def start_model(config: TrainingConfig, tokenizer_folder: Path) -> Start:
    """Build or load the model; one from scratch reads its tokenizer from the folder.

    Raises:
        ModelError: the model is not there, damaged or neither a T5 nor a Llama.
        MissingExtraError: LoRA without peft.
    """
    start = (
        _from_scratch(config, tokenizer_folder)
        if config.model is None
        else _from_checkpoint(config.model, config.dropout_rate)
    )
    # Measured: on a processor 1.3 times as fast as scaled_dot_product_attention at such lengths.
    start.model.set_attn_implementation("sdpa" if has_accelerator() else "eager")
    if not config.lora:
        return start
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("LoRA", "train") from error
    # All linear layers but the head, as QLoRA found best (Dettmers et al., 2023, section 4).
    wanted = LoraConfig(
        task_type="CAUSAL_LM" if start.decoder_only else "SEQ_2_SEQ_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
    )
    with warnings.catch_warnings():
        # peft asks for checkpointing under the name that transformers 5.24 gave up.
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(start.model, wanted)
    return Start(model, start.tokenizer, start.tokens)


def merged(start: Start) -> "PreTrainedModel":
    """The model with what LoRA learned added to its weights; without LoRA the model as it is."""
    if not hasattr(start.model, "peft_config"):
        return start.unwrapped
    tied = start.unwrapped.config.tie_word_embeddings
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Input and output embeddings", UserWarning)
        model: PreTrainedModel = start.model.merge_and_unload()
    # peft notes that FLAN-T5's head is its own, under a name that means something else here.
    model.config.tie_word_embeddings = tied
    return model


def use_gradient_checkpointing(model: Any) -> None:
    """Keep what layers read, and compute the rest again when gradients are taken."""
    how = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # since transformers 5.24
        model.activation_checkpointing_enable(how)
    else:
        model.gradient_checkpointing_enable(how)


def learn_tokenizer(pairs: Iterable[Pair], config: TrainingConfig, folder: Path) -> None:
    """For a model from scratch, a tokenizer of its own in the folder."""
    if config.model is None and not (folder / "tokenizer.json").exists():
        texts = (text for pair in pairs for text in (pair.source, pair.target))
        save_tokenizer(train_tokenizer(texts, config.vocab_size), folder)


def copy_tokenizer(config: TrainingConfig, folder: Path) -> None:
    """The tokenizer of the model that is fine-tuned, into the folder."""
    if config.model is not None:
        from transformers import AutoTokenizer

        from promptlift.improving.engines.torch import gguf_file

        tokenizer = AutoTokenizer.from_pretrained(config.model, **gguf_file(config.model))
        tokenizer.save_pretrained(str(folder))


def place_of_base(model: str | None, folder: Path) -> str | None:
    """Where the model that is fine-tuned is loaded from: of an export, this folder."""
    if model is None:
        return None
    place = place_of(model)
    return str(folder) if is_exported(Path(place)) else place


def restore_base(model: str | None, folder: Path) -> None:
    """Of an export, write its weights into the folder as training reads them, once.

    Raises:
        ModelError: the export is damaged, or none that this version reads back.
        MissingExtraError: the package onnx is missing.
    """
    if place_of_base(model, folder) != str(folder) or folder.exists():
        return
    try:
        from promptlift.export.restore import restore_model
    except ImportError as error:
        raise MissingExtraError("Training an exported model", "train") from error
    restore_model(Path(place_of(str(model))), folder)


def base_card(model: str | None) -> ModelCard:
    """What the model says of itself that training begins with."""
    if model is None:
        return ModelCard(name="pocket", modes=POCKET_MODES, decoding=POCKET_DECODING)
    model = place_of(model)
    if is_exported(Path(model)):
        return Manifest.read(Path(model)).card
    if (Path(model) / CARD_FILE).exists():
        return ModelCard.read(Path(model))
    modes = {"rewrite": PAPER_PREFIX} if _is_t5(model) else POCKET_MODES
    return ModelCard(name=Path(model).name, modes=modes)


def _is_t5(model: str) -> bool:
    """Whether a model without a card is a T5, as the paper's; one that cannot be read may be."""
    from promptlift.improving.engines.torch import gguf_file

    if gguf_file(model):
        return False
    from transformers import PretrainedConfig

    try:
        found, _ = PretrainedConfig.get_config_dict(model)
    except (OSError, ValueError):  # loading it will say why
        return True
    return bool(found.get("model_type", "t5") == "t5")


def use_bf16(precision: str) -> bool:
    """Whether to train in bf16 autocast: where asked for, or where the hardware has it."""
    import torch

    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # On processors without it bf16 is emulated, slower than fp32.
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def has_accelerator() -> bool:
    """Whether there is a GPU of NVIDIA, AMD or Apple."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _from_scratch(config: TrainingConfig, folder: Path) -> Start:
    from tokenizers import Tokenizer
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = T5ForConditionalGeneration(
        T5Config(
            # A few pairs give fewer pieces than asked for; a multiple of 8 suits the hardware.
            vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8,
            d_model=config.d_model,
            d_kv=max(8, config.d_model // config.num_heads),
            d_ff=config.d_ff,
            num_layers=config.num_layers,
            num_decoder_layers=config.num_decoder_layers,
            num_heads=config.num_heads,
            dropout_rate=config.dropout_rate or 0.0,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )
    # T5's own start gives logits a spread of sqrt(d_model) and a first loss in the hundreds.
    model.lm_head.weight.data.normal_(0.0, config.d_model**-0.5)
    return Start(model, tokenizer, {"pad": 0, "eos": 1, "unk": 2, "decoder_start": 0})


def _from_checkpoint(name: str, dropout_rate: float | None) -> Start:
    from promptlift.improving.engines.torch import load_torch

    # In float32, and only with all of its weights.
    loaded = load_torch(name, dropout_rate=dropout_rate)
    return Start(loaded.engine.model, loaded.codec.tokenizer, vars(loaded.codec.special))
