"""An improvement as text to copy: plain, for A1111, or for ComfyUI."""

import json
from functools import cache
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.config import resolve_options
from promptlift.improving.loading import bundled_model_path
from promptlift.improving.manifest import Manifest
from promptlift.improving.receipts import a1111_parameters
from promptlift.improving.tools import ANY_LENGTH, ToolOptions, infotext
from promptlift.records import Improvement

NODE = "PromptliftImprove"  # as integrations/comfyui names it
FORMS = ("plain", "a1111", "comfyui")
_ENCODE = "CLIPTextEncode"
_MOST_SEED = 2**53 - 1  # the largest that the page, whose numbers are doubles, keeps as it is
_SIZES = {NODE: (420, 340), _ENCODE: (420, 180)}


def copy_text(improvement: Improvement, form: str = "plain") -> str:
    """An improvement as text for the clipboard.

    Args:
        improvement: what `Improver` gave.
        form: "plain", the prompt; "a1111", what its prompt field reads back with the arrow button;
            "comfyui", a workflow as JSON, which is pasted onto its canvas.

    Raises:
        ConfigError: there is no such form.
    """
    if form == "plain":
        return improvement.prompt
    if form == "a1111":
        return a1111_parameters(improvement, {"Seed": improvement.seed, **infotext(improvement)})
    if form == "comfyui":
        return json.dumps(comfyui_workflow(improvement))
    raise ConfigError(f"form is {form!r} and must be one of {', '.join(FORMS)}")


def comfyui_workflow(improvement: Improvement) -> dict[str, Any]:
    """A workflow of ComfyUI: promptlift's node before a `CLIPTextEncode`, and the negative prompt.

    Where the node could not make this very result (another model, options that it does not offer),
    the improved prompt stands in `CLIPTextEncode` itself.
    """
    nodes: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    options = node_options(improvement)
    encode = _node(1, _ENCODE, (480, 0), [improvement.prompt], "CONDITIONING")
    encode["inputs"] = [{"name": "clip", "type": "CLIP", "link": None}]
    if options is not None:
        values = [improvement.source, improvement.seed, "fixed", *vars(options).values()]
        improve = _node(2, NODE, (0, 0), values, "STRING", "STRING", names=("prompt", "receipt"))
        improve["outputs"][0]["links"] = [1]
        text = {"name": "text", "type": "STRING", "link": 1, "widget": {"name": "text"}}
        encode["inputs"].append(text)
        links.append([1, 2, 0, 1, 1, "STRING"])
        nodes.append(improve)
    nodes.append(encode)
    if improvement.negative:
        negative = _node(3, _ENCODE, (480, 240), [improvement.negative], "CONDITIONING")
        negative["inputs"] = [{"name": "clip", "type": "CLIP", "link": None}]
        nodes.append(negative)
    return {
        "last_node_id": 3,
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def node_options(improvement: Improvement) -> ToolOptions | None:
    """The options with which ComfyUI's node makes an improvement again; None where it cannot."""
    manifest = _bundled()
    if improvement.model != manifest.model_id or improvement.checks.get("removed"):
        return None
    if improvement.seed > _MOST_SEED:
        return None
    settings = {k: v for k, v in improvement.settings.items() if k != "versions"}
    strengths = {"free": 0.0, "never": 1.0}
    try:
        options = ToolOptions(
            mode=improvement.mode,
            painters=strengths.get(settings["painters"], settings["painters"]),
            styles=strengths.get(settings["styles"], settings["styles"]),
            length=settings["length"] or ANY_LENGTH,
            budget=settings["budget"],
            variant=improvement.variant,
        )
        given = {k: v for k, v in options.given().items() if k not in ("n", "mode")}
        decoding, control = resolve_options(manifest.card.decoding, None, given)
    except (ConfigError, KeyError, TypeError):  # settings that it does not offer, or none
        return None
    theirs = json.loads(json.dumps({**vars(decoding), **vars(control)}))
    return options if _same(settings, theirs) else None


@cache
def _bundled() -> Manifest:
    return Manifest.read(bundled_model_path())


def _same(settings: dict[str, Any], others: dict[str, Any]) -> bool:
    by_strength = ("painters", "styles")  # "never" and 1.0 are one
    return {k: v for k, v in settings.items() if k not in by_strength} == {
        k: v for k, v in others.items() if k not in by_strength
    }


def _node(
    number: int,
    kind: str,
    place: tuple[int, int],
    values: list[Any],
    *outputs: str,
    names: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A node as ComfyUI's workflows have it; `values` are those of its widgets, in order."""
    return {
        "id": number,
        "type": kind,
        "pos": list(place),
        "size": list(_SIZES[kind]),
        "flags": {},
        "order": number,
        "mode": 0,
        "inputs": [],
        "outputs": [
            {"name": name, "type": output, "links": None}
            for name, output in zip(names or outputs, outputs, strict=True)
        ],
        "properties": {"Node name for S&R": kind},
        "widgets_values": values,
    }
