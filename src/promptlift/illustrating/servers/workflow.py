"""A workflow of ComfyUI's API: where it takes prompt, seed and size, and graphs filled with these.

The places are found by following the graph back from what draws, as `improving.comfyui_graph` does
for texts; what is not found, or found twice, is named with `--place`.
"""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.comfyui_graph import Place, is_graph, is_link, nodes_of, text_places
from promptlift.png_text import is_png, read_png_text

# Names of places, with the inputs that are one where a number or a name stands in them.
_INPUTS = {
    "seed": ("seed", "noise_seed"),
    "width": ("width",),
    "height": ("height",),
    "steps": ("steps",),
    "guidance": ("cfg", "guidance"),
    "sampler": ("sampler_name",),
    "scheduler": ("scheduler",),
    "model": ("ckpt_name", "unet_name"),
}
NAMES = ("prompt", "negative", *_INPUTS, "output")
# Words in the kinds of nodes that have them: a text's node may have a seed of its own.
_KINDS = {"seed": ("sampl", "noise"), "width": ("latent",), "height": ("latent",)}
# Of nodes that encode one prompt for several encoders.
_TOGETHER = {"text_g", "text_l", "clip_g", "clip_l", "t5xxl"}
_IMPROVES = "PromptliftImprove"
Graph = dict[str, Any]


class Workflow:
    """A graph with its places.

    Args:
        graph: the graph of ComfyUI's API.
        named: places as typed, "NAME=NODE.INPUT".

    Raises:
        ConfigError: a place is not there, or a necessary one is not found.
    """

    def __init__(self, graph: Mapping[str, Any], named: tuple[str, ...] = ()) -> None:
        self.graph = deepcopy(dict(graph))
        self._nodes = nodes_of(graph)
        given: dict[str, list[Place]] = {}
        self.output: str | None = None
        for item in named:
            name, _, where = item.partition("=")
            self._check_name(name)
            node, _, of = where.partition(".")
            if name == "output":
                self.output = self._known(item, node)
            else:
                given.setdefault(name, []).append(self._given(item, node, of))
        self._named = set(given)
        self.places = {**self._found(given), **given}
        self._simplify()
        if any(kind == _IMPROVES for kind, _ in self._nodes.values()):
            raise ConfigError(
                f"the workflow improves prompts itself, in its node {_IMPROVES}: an original "
                "would be improved too. Take the node out"
            )

    def value(self, name: str) -> Any:
        """What stands at a place; None where there is none."""
        found = self.places.get(name)
        return found[0].value if found else None

    def put(self, name: str, value: Any) -> None:
        """Change the workflow itself.

        Raises:
            ConfigError: it has no such place.
        """
        places = self.places.get(name)
        if not places:
            raise ConfigError(
                f"the workflow has no place for {name}; name it, as --place {name}=3.{name}"
            )
        if name not in self._named and len({place.value for place in places}) > 1:
            raise ConfigError(_several(name, places))
        if name == "steps" and any(
            "end_at_step" in self.graph[place.node]["inputs"] for place in places
        ):
            raise ConfigError("the workflow's samplers share the steps; change them in it")
        for place in places:
            self.graph[place.node]["inputs"][place.input] = value
        self.places[name] = [Place(one.node, one.input, value) for one in places]

    def filled(self, prompt: str, seed: int, negative: str | None) -> Graph:
        """The graph that draws a picture; without a negative prompt with the workflow's own.

        Raises:
            ConfigError: it has no place for a negative prompt.
        """
        graph = deepcopy(self.graph)
        values: dict[str, Any] = {"prompt": prompt, "seed": seed}
        if negative is not None:
            if not self.places.get("negative"):
                raise ConfigError(
                    "the workflow has no place for a negative prompt, or several; name it, as "
                    "--place negative=7.text"
                )
            values["negative"] = negative
        for name, value in values.items():
            for place in self.places[name]:
                graph[place.node]["inputs"][place.input] = value
        return graph

    @property
    def sha256(self) -> str:
        """Of all that does not change from picture to picture, in hex."""
        blank = json.dumps(self.filled("", 0, "" if self.places.get("negative") else None))
        negatives = [place.value for place in self.places.get("negative", [])]
        text = json.dumps([json.loads(blank), negatives], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def kinds(self) -> set[str]:
        """The kinds of its nodes."""
        return {kind for kind, _ in self._nodes.values()}

    def _simplify(self) -> None:
        """One picture at a time, and texts as they are."""
        for node in self.graph.values():
            inputs = node["inputs"]
            if "latent" in node["class_type"].lower() and isinstance(inputs.get("batch_size"), int):
                inputs["batch_size"] = 1
            if "populated_text" in inputs and "mode" in inputs:
                inputs["mode"] = "fixed"  # or Impact Pack would fill the wildcards in again

    def _check_name(self, name: str) -> None:
        if name not in NAMES:
            raise ConfigError(f"place has no {name!r}; there is: {', '.join(NAMES)}")

    def _known(self, item: str, node: str) -> str:
        if node not in self._nodes:
            known = ", ".join(f"{name} ({kind})" for name, (kind, _) in self._nodes.items())
            raise ConfigError(f"place {item}: the workflow has no node {node}; it has {known}")
        return node

    def _given(self, item: str, node: str, of: str) -> Place:
        kind, inputs = self._nodes[self._known(item, node)]
        if of not in inputs:
            raise ConfigError(
                f"place {item}: node {node} ({kind}) has no input {of!r}; it has "
                f"{', '.join(inputs)}"
            )
        return Place(node, of, inputs[of])

    def _found(self, given: Mapping[str, Any]) -> dict[str, list[Place]]:
        texts = text_places(self.graph)
        found = {}
        if "prompt" not in given:
            found["prompt"] = self._prompt(texts["positive"])
        if "negative" not in given:
            shared = {place.node for place in texts["positive"]}
            negative = [place for place in texts["negative"] if place.node not in shared]
            found["negative"] = negative if _is_one(negative) else []
        for name, inputs in _INPUTS.items():
            if name not in given:
                found[name] = self._values(name, inputs)
        if not (found.get("seed") or given.get("seed")):
            raise ConfigError(
                "the workflow has no seed that is found; name it, as --place seed=3.seed"
            )
        return found

    def _prompt(self, places: list[Place]) -> list[Place]:
        if not places:
            raise ConfigError(
                "the workflow has no prompt that is found; name it, as --place prompt=6.text"
            )
        if not _is_one(places):
            raise ConfigError(_several("prompt", places))
        return places

    def _values(self, name: str, inputs: tuple[str, ...]) -> list[Place]:
        """Where a setting stands, in the nodes that have it or in those that hand it to them."""
        words = _KINDS.get(name)
        found = {}
        for node, (kind, values) in self._nodes.items():
            if words and not any(word in kind.lower() for word in words):
                continue
            if name in ("width", "height") and "samples" in values:
                continue  # it enlarges what was drawn
            if name == "seed" and values.get("add_noise") == "disable":
                continue
            for of in inputs:
                if of not in values:
                    continue
                place = self._literal(Place(node, of, values[of]))
                if place is None and name == "seed":
                    raise ConfigError(
                        f"the seed of node {node} ({kind}) comes from a node that is not "
                        "understood; name its place, as --place seed=3.seed"
                    )
                if place is not None:
                    found[place.node, place.input] = place
        places = list(found.values())
        # Where a model is guided by FLUX's number, its other scale stays 1.
        distilled = [place for place in places if place.input == "guidance"]
        return distilled or places

    def _literal(self, place: Place) -> Place | None:
        """The place that a link leads to, where it is a node that holds one value."""
        if not is_link(place.value):
            return place
        node = str(place.value[0])
        _, inputs = self._nodes.get(node, ("", {}))
        simple = [
            Place(node, of, value) for of, value in inputs.items()
            if isinstance(value, int | float | str) and of in ("value", "seed", "int", "float")
        ]  # fmt: skip
        return simple[0] if len(simple) == 1 else None


def check_server(config: IllustrationConfig) -> None:
    """Check what can be checked of a server's settings before it is asked.

    Raises:
        ConfigError: no address is named, or a setting is wrong.
        InputError: the workflow cannot be read.
    """
    _ = config.server_url
    if config.backend == "comfyui":
        read_workflow(config)


def _several(name: str, places: list[Place]) -> str:
    """That a place is not certain, with what to do."""
    where = " or ".join(f"{place.node}.{place.input}" for place in places)
    first = f"--place {name}={places[0].node}.{places[0].input}"
    return f"the workflow's {name} may be at {where}; name one, or each: {first}"


def read_workflow(config: IllustrationConfig) -> Workflow:
    """The workflow of a config, with its settings put in.

    Raises:
        ConfigError: none is named, or it lacks a place for a setting.
        InputError: the file is none of the API's, or cannot be read.
    """
    if config.workflow is None:
        raise ConfigError("name the workflow with --workflow FILE: “Export (API)” in ComfyUI")
    workflow = Workflow(_read(Path(config.workflow)), config.place)
    settings = {
        "steps": config.num_inference_steps, "guidance": config.guidance_scale,
        "width": config.width, "height": config.height, "sampler": config.sampler,
        "model": config.model or None,
    }  # fmt: skip
    for name, value in settings.items():
        if value is not None:
            workflow.put(name, value)
    return workflow


def _read(path: Path) -> Graph:
    try:
        data = path.read_bytes()
        text = read_png_text(path).get("prompt", "") if is_png(data) else data.decode("utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        graph = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "a picture without a workflow" if is_png(data) else "no JSON"
        raise InputError(f"{path} is {what}") from error
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise InputError(
            f"{path} is a workflow as ComfyUI's editor saves it; its server takes that of "
            "“Export (API)”"
        )
    if not is_graph(graph):
        raise InputError(f"{path} is no workflow of ComfyUI's API")
    return {name: node for name, node in graph.items() if name in nodes_of(graph)}


def _is_one(places: list[Place]) -> bool:
    """Whether places hold one text, perhaps for several encoders."""
    if len({place.value for place in places}) <= 1:
        return True
    return (
        len({place.node for place in places}) == 1
        and {place.input for place in places} <= _TOGETHER
    )
