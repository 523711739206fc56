"""The prompts in a graph of ComfyUI, followed from what draws back to the texts.

The graph is that of its API, which its pictures carry as `prompt`: nodes by id, each `class_type`
and `inputs`, where `[id, place]` is an output of another node.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

_SIDES = ("positive", "negative")
# Inputs that hold a text, or come from a node that does, as nodes of ComfyUI and extensions call
# them. What a wildcard became is drawn, not the wildcard.
_RESOLVED = "populated_text"
_TEXTS = frozenset(
    {
        "text", "text_g", "text_l", "clip_g", "clip_l", "t5xxl", "prompt", "string", "value",
        "string_a", "string_b", "text_a", "text_b", "text1", "text2", "wildcard_text", _RESOLVED,
    }
)  # fmt: skip
_SETTINGS = ("seed", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
_MODELS = ("ckpt_name", "unet_name")
# Nodes whose name has one of these hand on the text that stands in them.
_PLAIN = ("text", "string", "primitive", "prompt")
_OWN = "PromptliftImprove"


@dataclass(frozen=True, kw_only=True)
class GraphPrompts:
    """What a graph says.

    Attributes:
        positive: the texts that its samplers' positive conditioning comes from, each once.
        negative: those of the negative one.
        settings: seed, steps and the like, where all nodes agree.
        through: kinds of nodes that may have changed the texts on their way.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    settings: dict[str, str]
    through: tuple[str, ...]


def is_graph(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether parsed JSON holds nodes of a graph."""
    return isinstance(value, dict) and bool(_nodes(value))


def graph_prompts(graph: Mapping[str, Any]) -> GraphPrompts:
    """The texts and settings of a graph; it may be damaged, and its nodes of any kind."""
    nodes = _nodes(graph)
    texts: dict[str, dict[str, None]] = {side: {} for side in _SIDES}
    through: dict[str, None] = {}
    for start in _starts(nodes):
        for side, way in zip(_SIDES, start, strict=True):
            found, kinds = _follow(nodes, way, side)
            texts[side] |= dict.fromkeys(found)
            through |= dict.fromkeys(kinds)
    return GraphPrompts(
        positive=tuple(texts["positive"]),
        negative=tuple(texts["negative"]),
        settings=_settings(nodes),
        through=tuple(through),
    )


def _nodes(graph: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Kind and inputs of each node by id."""
    return {
        str(name): (str(node["class_type"]), node["inputs"])
        for name, node in graph.items()
        if isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)
    }


def _starts(nodes: dict[str, tuple[str, dict[str, Any]]]) -> list[tuple[Any, Any]]:
    """Where the positive and the negative side of each node that draws come from."""
    takers = [
        (kind, inputs)
        for kind, inputs in nodes.values()
        if "positive" in inputs or _is_link(inputs.get("conditioning"))
    ]
    for chosen in (
        # Samplers and guiders take a model; nodes that only change a conditioning do not.
        [inputs for _, inputs in takers if _is_link(inputs.get("model"))],
        [inputs for kind, inputs in takers if "sampl" in kind.lower()],
        [inputs for _, inputs in takers],  # loaders, where all goes through one pipe
        [inputs for _, inputs in nodes.values() if "prompt" in inputs],  # models on a server
    ):
        if chosen:
            break
    return [
        (
            inputs.get("positive", inputs.get("conditioning", inputs.get("prompt"))),
            inputs.get("negative", inputs.get("negative_prompt")),
        )
        for inputs in chosen
    ]


def _follow(
    nodes: dict[str, tuple[str, dict[str, Any]]], way: object, side: str
) -> tuple[list[str], list[str]]:
    """Texts that one side comes from, and kinds of nodes that may have changed them."""
    texts, through, seen = [], [], set()
    stack = [(way, False)]  # and whether it is of a text, no longer of a conditioning
    while stack:
        way, is_text = stack.pop()
        if isinstance(way, str) and way.strip():
            texts.append(way)
        if not _is_link(way) or str(way[0]) in seen or str(way[0]) not in nodes:
            continue
        seen.add(str(way[0]))
        kind, inputs = nodes[str(way[0])]
        if "zeroout" in kind.lower():  # nothing is left of its text: FLUX has no negative prompt
            continue
        if is_text and (kind == _OWN or not any(word in kind.lower() for word in _PLAIN)):
            through.append(kind)
        ways, of_text = _ways(inputs, side)
        stack += [(way, is_text or of_text) for way in reversed(ways)]
    return texts, through


def _ways(inputs: dict[str, Any], side: str) -> tuple[list[Any], bool]:
    """The texts and links that a node's output comes from, and whether these are of a text."""
    given = {name.lower(): value for name, value in inputs.items() if isinstance(value, str | list)}
    if given.get(_RESOLVED):
        return [given[_RESOLVED]], True
    if texts := [value for name, value in given.items() if name in _TEXTS]:
        return texts, True
    names = (side, f"{side}_prompt", f"text_{side}")
    for ways in (
        [value for name, value in given.items() if name in names],
        [value for name, value in given.items() if name.startswith("conditioning")],
        [value for value in given.values() if _is_link(value)],
    ):
        if ways:
            return ways, False
    return [], False


def _settings(nodes: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, str]:
    found = {}
    for name in (*_SETTINGS, *_MODELS):
        given = [inputs[name] for _, inputs in nodes.values() if name in inputs]
        values = {str(value) for value in given if isinstance(value, str | int | float)}
        if len(values) == 1:
            found[name] = values.pop()
    return found


def _is_link(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int)
