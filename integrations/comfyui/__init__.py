"""promptlift as nodes of ComfyUI. Copy this folder into `custom_nodes`."""

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from promptlift.files import sha256_of_file
from promptlift.illustrating.embedding import load_embedding
from promptlift.improving.receipts import receipt_text
from promptlift.improving.tools import ToolOptions, improve_in_tool

_MOST_SEED = 2**64 - 1


class PromptliftImprove:
    """A prompt in, the improved prompt out. The model runs on the processor alone.

    There is no `IS_CHANGED`: the result depends on the inputs and nothing else, so ComfyUI may keep
    it as long as they stay.
    """

    CATEGORY = "promptlift"
    DESCRIPTION = "Adds to a short prompt what makes a better picture. Takes no GPU memory."
    FUNCTION = "improve"
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("prompt", "receipt")
    OUTPUT_TOOLTIPS = (
        "The improved prompt.",
        "Both prompts, seed, model and all options as JSON, for `promptlift replay`.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The node's inputs, as ComfyUI asks for them."""
        prompt = {
            "multiline": True,
            "tooltip": "What the picture should show. Weights, tags and wildcards stay as they "
            "are. Negative prompts are no business of this node.",
        }
        seed = {
            "default": 0,
            "min": 0,
            "max": _MOST_SEED,
            "control_after_generate": True,
            "tooltip": "The same prompt, options and seed give the same result.",
        }
        inputs = {"prompt": ("STRING", prompt), "seed": ("INT", seed)}
        return {"required": {**inputs, **{f.name: _input(f) for f in fields(ToolOptions)}}}

    def improve(self, prompt: str, seed: int, **options: Any) -> tuple[str, str]:
        """Prompt and receipt; a blank prompt stays as it is and has no receipt."""
        [result] = improve_in_tool([prompt], [seed], ToolOptions(**options))
        return (prompt, "") if result is None else (result.prompt, receipt_text(result))


class PromptliftEmbedding:
    """A file of `promptlift steer` as conditioning, for the text encoders that it was made with."""

    CATEGORY = "promptlift"
    DESCRIPTION = "Loads a prompt's embedding that promptlift steer wrote, in place of words."
    FUNCTION = "load"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "STRING")
    RETURN_NAMES = ("positive", "negative", "prompt")
    OUTPUT_TOOLTIPS = (
        "What the picture is led to.",
        "What it is led away from: of the file, or the empty prompt.",
        "The words that the embedding began with.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The node's inputs, as ComfyUI asks for them."""
        clip = {"tooltip": "Of the checkpoint that draws; the file must be of its encoders."}
        file = {"default": "", "tooltip": "Path of the .safetensors file."}
        return {"required": {"clip": ("CLIP", clip), "file": ("STRING", file)}}

    @classmethod
    def IS_CHANGED(cls, clip: Any, file: str) -> str:
        """A hash of the file, so that it is read again when it changes."""
        path = Path(file.strip())
        return sha256_of_file(path) if path.is_file() else ""

    def load(self, clip: Any, file: str) -> tuple[Any, Any, str]:
        """Positive and negative conditioning, and the words."""
        found = load_embedding(Path(file.strip()))
        empty, pooled = clip.encode_from_tokens(clip.tokenize(""), return_pooled=True)
        found.check(empty[0, -1], 1)
        tensors = found.tensors()
        negative = (tensors.get("negative_prompt_embeds", empty),
                    tensors.get("negative_pooled_prompt_embeds", pooled))  # fmt: skip
        positive = (tensors["prompt_embeds"], tensors.get("pooled_prompt_embeds", pooled))
        first, second = ([[rows, {"pooled_output": one}]] for rows, one in (positive, negative))
        return first, second, found.prompt


def _input(option: "Field[Any]") -> tuple[Any, dict[str, Any]]:
    about = {"default": option.default, "tooltip": option.metadata["help"]}
    if choices := option.metadata.get("choices"):
        return list(choices), about
    about |= {"min": option.metadata["least"], "max": option.metadata["most"]}
    if isinstance(option.default, float):
        return "FLOAT", {**about, "step": 0.05}
    return "INT", about


NODE_CLASS_MAPPINGS = {
    "PromptliftImprove": PromptliftImprove,
    "PromptliftEmbedding": PromptliftEmbedding,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "PromptliftImprove": "Improve prompt (promptlift)",
    "PromptliftEmbedding": "Load embedding (promptlift)",
}
