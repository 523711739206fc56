"""Reads a model's `tokenizer.json` with current tokenizers and with those that image tools pin.

A1111 and Forge pin transformers, which pins tokenizers (0.13.3 with transformers 4.30.2), and a
newer one would break them. The older format names one field and writes merges differently.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from promptlift.errors import ModelError


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a model.

    With tokenizers before 0.15 a Unigram has no byte fallback: characters that the model has no
    piece for are read as unknown, so prompts with such characters get other additions.

    Raises:
        ModelError: this tokenizers cannot read it.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return Tokenizer.from_str(text)
    except Exception:  # tokenizers raises no class of its own
        try:
            return Tokenizer.from_str(in_old_format(text))
        except Exception as error:
            import tokenizers

            raise ModelError(
                f"{path} cannot be read by tokenizers {tokenizers.__version__}: {error}. "
                "Export the model again."
            ) from error


def in_old_format(text: str) -> str:
    """The format before tokenizers 0.19 and 0.20.

    Before 0.19 `Metaspace` has `add_prefix_space` and no scheme, before 0.20 a merge of `BPE` is
    a text, "a b" for ["a", "b"].
    """

    def rename(value: dict[str, Any]) -> dict[str, Any]:
        if value.get("type") == "Metaspace" and "prepend_scheme" in value:
            old = {"add_prefix_space": value["prepend_scheme"] != "never"}
            return {k: v for k, v in value.items() if k not in ("prepend_scheme", "split")} | old
        if value.get("type") == "BPE":
            return value | {"merges": [one if isinstance(one, str) else " ".join(one)
                                       for one in value["merges"]]}  # fmt: skip
        return value

    return json.dumps(json.loads(text, object_hook=rename))
