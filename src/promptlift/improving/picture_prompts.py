"""The prompt that a picture carries, whichever image tool wrote it.

Each tool has a reader below; `_READERS` lists them in the order in which they are asked.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promptlift.improving.comfyui_graph import graph_prompts, is_graph
from promptlift.improving.receipts import A1111_KEYWORD, parse_a1111_parameters
from promptlift.picture_texts import COMMENT_KEYWORD

TOOLS = ("A1111", "SwarmUI", "Fooocus", "InvokeAI", "NovelAI", "ComfyUI")
_UNKNOWN = "an unknown tool"
# Names of fields, without case, blanks, `_` and `-`.
_PROMPTS = ("prompt", "positiveprompt", "positive")
_NEGATIVES = ("negativeprompt", "negative", "uc")
_WRITERS = ("software", "generator", "app", "appid", "tool", "createdby", "version")
_SHOWN_KEYS = 5


@dataclass(frozen=True, kw_only=True)
class PicturePrompt:
    """What the texts of a picture say.

    Attributes:
        tool: one of `TOOLS`, or what the texts say of their writer.
        prompt: empty where none was found; then a note says why.
        negative: the negative prompt.
        settings: as the tool names them.
        notes: a line each, where the texts do not say all.
    """

    tool: str
    prompt: str = ""
    negative: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def picture_prompt(texts: Mapping[str, str]) -> PicturePrompt | None:
    """Prompt, negative prompt, settings, and the tool that wrote them.

    Args:
        texts: of a picture by keyword, as `picture_texts.picture_texts` gives them.

    Returns:
        What the first reader that finds a prompt says; without a prompt, what was found instead;
        None where no text is of a tool that is known.
    """
    found = [one for read in _READERS if (one := read(texts))]
    return next((one for one in found if one.prompt), found[0] if found else None)


def _parameters(texts: Mapping[str, str]) -> PicturePrompt | None:
    keyword = A1111_KEYWORD if A1111_KEYWORD in texts else COMMENT_KEYWORD
    text = texts.get(keyword, "")
    if not text.strip():
        return None
    value = _json(text)
    if value is None:
        prompt, negative, settings = parse_a1111_parameters(text)
        if keyword == COMMENT_KEYWORD and not settings:  # cameras and phones comment too
            return None
        tool = "Fooocus" if "fooocus_scheme" in texts else "A1111"
        return PicturePrompt(tool=tool, prompt=prompt, negative=negative, settings=settings)
    if isinstance(value, dict):
        for read in (_swarmui, _fooocus, _novelai_webp, _graph, _named):
            if found := read(value, texts):
                return found
    return _unreadable(keyword, value, texts)


def _swarmui(value: dict[str, Any], texts: Mapping[str, str]) -> PicturePrompt | None:
    # https://github.com/mcmonkeyprojects/SwarmUI, src/Text2Image/T2IParamInput.cs
    own = value.get("sui_image_params")
    return _fields("SwarmUI", own) if isinstance(own, dict) else None


def _fooocus(value: dict[str, Any], texts: Mapping[str, str]) -> PicturePrompt | None:
    # https://github.com/lllyasviel/Fooocus, modules/meta_parser.py
    is_own = str(value.get("version")).startswith("Fooocus") or "metadata_scheme" in value
    return _fields("Fooocus", value) if is_own or "fooocus_scheme" in texts else None


def _novelai_webp(value: dict[str, Any], texts: Mapping[str, str]) -> PicturePrompt | None:
    # In WebP the texts of its PNG are one JSON object.
    return _novelai({key: text for key, text in value.items() if isinstance(text, str)})


def _graph(value: dict[str, Any], texts: Mapping[str, str]) -> PicturePrompt | None:
    graphs = [one for one in (value, value.get("prompt")) if is_graph(one)]
    return _from_graph(graphs[0]) if graphs else None


def _named(value: dict[str, Any], texts: Mapping[str, str]) -> PicturePrompt | None:
    found = _fields(_writer(value, texts), value)
    return found if found.prompt else None


def _unreadable(keyword: str, value: Any, texts: Mapping[str, str]) -> PicturePrompt:
    keys = [f"`{key[:40]}`" for key in value] if isinstance(value, dict) else []
    listed = ", ".join(keys[:_SHOWN_KEYS]) + (", …" if len(keys) > _SHOWN_KEYS else "")
    tool = _writer(value, texts) if isinstance(value, dict) else _UNKNOWN
    note = f"`{keyword}` is JSON of {tool} without a field that is named as a prompt"
    return PicturePrompt(tool=tool, notes=(f"{note} ({listed or 'no fields'})",))


def _invokeai(texts: Mapping[str, str]) -> PicturePrompt | None:
    # https://github.com/invoke-ai/InvokeAI, app/services/image_files/image_files_disk.py
    value = _json(texts.get("invokeai_metadata", ""))
    if isinstance(value, dict):
        return _fields("InvokeAI", value)
    # Versions before 3, where brackets in the prompt hold the negative one.
    value = _json(texts.get("sd-metadata", ""))
    image = value.get("image") if isinstance(value, dict) else None
    if not isinstance(image, dict):
        return None
    given = image.get("prompt")
    parts = given if isinstance(given, list) else [given]
    words = [one.get("prompt") if isinstance(one, dict) else one for one in parts]
    whole = " ".join(one for one in words if isinstance(one, str))
    negative = ", ".join(re.findall(r"(?<!\\)\[([^\[\]]*)\]", whole))
    prompt = re.sub(r" ?(?<!\\)\[[^\[\]]*\]", "", whole).strip()
    return _fields("InvokeAI", {**image, "prompt": prompt, "negative_prompt": negative})


def _novelai(texts: Mapping[str, str]) -> PicturePrompt | None:
    value = _json(texts.get("Comment", ""))
    known = texts.get("Software", "").startswith("NovelAI")
    if not isinstance(value, dict) or not (known or "uc" in value or "v4_prompt" in value):
        return None
    found = _fields("NovelAI", value)
    settings = dict(found.settings)
    for key, name in (("v4_prompt", "character"), ("v4_negative_prompt", "character negative")):
        for number, text in enumerate(_characters(value.get(key)), 1):
            settings[f"{name} {number}"] = text
    prompt = found.prompt or texts.get("Description", "")
    return replace(found, prompt=prompt, settings=settings, notes=() if prompt else found.notes)


def _characters(value: Any) -> list[str]:
    """Prompts of single characters, which NovelAI keeps beside the prompt."""
    caption = value.get("caption") if isinstance(value, dict) else None
    listed = caption.get("char_captions") if isinstance(caption, dict) else None
    known = listed if isinstance(listed, list) else []
    texts = [one.get("char_caption") for one in known if isinstance(one, dict)]
    return [text for text in texts if isinstance(text, str) and text]


def _comfyui(texts: Mapping[str, str]) -> PicturePrompt | None:
    value = _json(texts.get("prompt", ""))
    if isinstance(value, dict) and is_graph(value):
        return _from_graph(value)
    workflow = _json(texts.get("workflow", ""))
    if not isinstance(workflow, dict) or "nodes" not in workflow:
        return None
    note = "ComfyUI's workflow is there, but not the graph that was run (`prompt`)"
    return PicturePrompt(tool="ComfyUI", notes=(note,))


def _from_graph(graph: dict[str, Any]) -> PicturePrompt:
    found = graph_prompts(graph)
    notes = []
    for side, texts in (("prompts", found.positive), ("negative prompts", found.negative)):
        if len(texts) > 1:
            notes.append(f"ComfyUI's graph has {len(texts)} {side}; they follow one another here")
    if not found.positive:
        notes.append("ComfyUI's graph does not lead from a sampler to the text of a prompt")
    if found.through:
        kinds = ", ".join(found.through)
        notes.append(f"the text went through a node that may have changed it: {kinds}")
    return PicturePrompt(
        tool="ComfyUI",
        prompt="\n".join(found.positive),
        negative="\n".join(found.negative),
        settings=found.settings,
        notes=tuple(notes),
    )


_READERS: tuple[Callable[[Mapping[str, str]], PicturePrompt | None], ...] = (
    _parameters,
    _invokeai,
    _novelai,
    _comfyui,
)


def _json(text: str) -> Any:
    """An object or a list of JSON; None for any other text."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text.strip("\0"), strict=False)
    except (ValueError, RecursionError):
        return None


def _fields(tool: str, value: Mapping[str, Any]) -> PicturePrompt:
    """Prompts by the names of their fields; whatever else is one value is a setting."""
    plain = {_plain(key): text for key, text in value.items() if isinstance(text, str)}
    settings = {}
    for key, item in value.items():
        if isinstance(item, dict):  # models of InvokeAI
            item = item.get("name", item.get("model_name"))
        is_prompt = isinstance(item, str) and _plain(key) in (*_PROMPTS, *_NEGATIVES)
        if isinstance(item, str | int | float) and item != "" and not is_prompt:
            settings[key] = str(item)
    prompt = next((plain[name] for name in _PROMPTS if plain.get(name)), "")
    return PicturePrompt(
        tool=tool,
        prompt=prompt,
        negative=next((plain[name] for name in _NEGATIVES if plain.get(name)), ""),
        settings=settings,
        notes=() if prompt else (f"{tool}'s text holds no prompt",),
    )


def _writer(value: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Who seems to have written a JSON text."""
    plain = {_plain(key): text for key, text in value.items() if isinstance(text, str)}
    said = [plain.get(name, "") for name in _WRITERS] + [texts.get("Software", "")]
    return next((text.strip()[:40] for text in said if re.search(r"[^\W\d]{3}", text)), _UNKNOWN)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
