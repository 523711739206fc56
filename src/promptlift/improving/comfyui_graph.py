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


@dataclass(frozen=True)
class Place:
    """An input of a node that holds a value.

    Attributes:
        node: the node's id.
        input: the input's name.
        value: what it holds.
    """

    node: str
    input: str
    value: Any


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
    return isinstance(value, dict) and bool(nodes_of(value))


def graph_prompts(graph: Mapping[str, Any]) -> GraphPrompts:
    """The texts and settings of a graph; it may be damaged, and its nodes of any kind."""
    nodes = nodes_of(graph)
    places, through = _texts(nodes)
    texts = {
        side: tuple(dict.fromkeys(place.value for place in found if place.value.strip()))
        for side, found in places.items()
    }
    return GraphPrompts(**texts, settings=_settings(nodes), through=through)


def text_places(graph: Mapping[str, Any]) -> dict[str, list[Place]]:
    """Where the texts of a graph stand, those that are empty too, by side."""
    places, _ = _texts(nodes_of(graph))
    return places


def _texts(
    nodes: dict[str, tuple[str, dict[str, Any]]],
) -> tuple[dict[str, list[Place]], tuple[str, ...]]:
    """Where texts stand, by side, and kinds of nodes that may have changed them."""
    places: dict[str, dict[tuple[str, str], Place]] = {side: {} for side in _SIDES}
    through: dict[str, None] = {}
    for start in _starts(nodes):
        for side, way in zip(_SIDES, start, strict=True):
            found, kinds = _follow(nodes, way, side)
            places[side] |= {(place.node, place.input): place for place in found}
            through |= dict.fromkeys(kinds)
    return {side: list(found.values()) for side, found in places.items()}, tuple(through)


def nodes_of(graph: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Kind and inputs of each node by id."""
    return {
        str(name): (str(node["class_type"]), node["inputs"])
        for name, node in graph.items()
        if isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)
    }


def _starts(nodes: dict[str, tuple[str, dict[str, Any]]]) -> list[tuple[Place, Place]]:
    """Where the positive and the negative side of each node that draws come from."""
    takers = [
        (kind, name, inputs)
        for name, (kind, inputs) in nodes.items()
        if "positive" in inputs or is_link(inputs.get("conditioning"))
    ]
    for chosen in (
        # Samplers and guiders take a model; nodes that only change a conditioning do not.
        [(name, inputs) for _, name, inputs in takers if is_link(inputs.get("model"))],
        [(name, inputs) for kind, name, inputs in takers if "sampl" in kind.lower()],
        [(name, inputs) for _, name, inputs in takers],  # loaders, where all goes through one pipe
        # Models on a server.
        [(name, inputs) for name, (_, inputs) in nodes.items() if "prompt" in inputs],
    ):
        if chosen:
            break
    return [
        (
            _first(node, inputs, "positive", "conditioning", "prompt"),
            _first(node, inputs, "negative", "negative_prompt"),
        )
        for node, inputs in chosen
    ]


def _first(node: str, inputs: dict[str, Any], *names: str) -> Place:
    """The first of some inputs that a node has."""
    name = next((name for name in names if name in inputs), names[0])
    return Place(node, name, inputs.get(name))


def _follow(
    nodes: dict[str, tuple[str, dict[str, Any]]], start: Place, side: str
) -> tuple[list[Place], list[str]]:
    """Texts that one side comes from, and kinds of nodes that may have changed them."""
    texts, through, seen = [], [], set()
    stack = [(start, False)]  # and whether it is of a text, no longer of a conditioning
    while stack:
        place, is_text = stack.pop()
        way = place.value
        if isinstance(way, str):
            texts.append(place)
        if not is_link(way) or str(way[0]) in seen or str(way[0]) not in nodes:
            continue
        seen.add(node := str(way[0]))
        kind, inputs = nodes[node]
        if "zeroout" in kind.lower():  # nothing is left of its text: FLUX has no negative prompt
            continue
        if is_text and (kind == _OWN or not any(word in kind.lower() for word in _PLAIN)):
            through.append(kind)
        ways, of_text = _ways(inputs, side)
        stack += [(Place(node, *way), is_text or of_text) for way in reversed(ways)]
    return texts, through


def _ways(inputs: dict[str, Any], side: str) -> tuple[list[tuple[str, Any]], bool]:
    """The texts and links that a node's output comes from, and whether these are of a text."""
    given = [(name, value) for name, value in inputs.items() if isinstance(value, str | list)]
    if inputs.get(_RESOLVED):
        return [(_RESOLVED, inputs[_RESOLVED])], True
    if texts := [way for way in given if way[0].lower() in _TEXTS]:
        return texts, True
    names = (side, f"{side}_prompt", f"text_{side}")
    for ways in (
        [way for way in given if way[0].lower() in names],
        [way for way in given if way[0].lower().startswith("conditioning")],
        [way for way in given if is_link(way[1])],
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


def is_link(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int)
