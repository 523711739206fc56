"""promptlift as a node of ComfyUI. Copy this folder into `custom_nodes`."""

from dataclasses import Field, fields
from typing import Any

from promptlift.improving.receipts import receipt_text
from promptlift.improving.tools import ToolOptions, improve_in_tool

_MOST_SEED = 2**64 - 1


class PromptliftImprove:
    """A prompt in, the improved prompt out. The model runs on the processor alone.

    There is no `IS_CHANGED`: the result hangs on the inputs and nothing else, so ComfyUI may keep
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


def _input(option: "Field[Any]") -> tuple[Any, dict[str, Any]]:
    about = {"default": option.default, "tooltip": option.metadata["help"]}
    if choices := option.metadata.get("choices"):
        return list(choices), about
    about |= {"min": option.metadata["least"], "max": option.metadata["most"]}
    if isinstance(option.default, float):
        return "FLOAT", {**about, "step": 0.05}
    return "INT", about


NODE_CLASS_MAPPINGS = {"PromptliftImprove": PromptliftImprove}
NODE_DISPLAY_NAME_MAPPINGS = {"PromptliftImprove": "Improve prompt (promptlift)"}
