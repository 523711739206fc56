"""What A1111, Forge and SD.Next do around a script, by their contract.

None of them can be installed as a package, so this follows their sources: `modules/scripts.py`
(the base class and `AlwaysVisible`) and `modules/processing.py` (`process_images_inner` and
`create_infotext`), in the order of their calls. Nothing here draws.
"""

import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlift.improving.receipts import a1111_parameters
from promptlift.records import Improvement

SCRIPT = Path(__file__).parents[2] / "integrations/a1111/scripts/promptlift_script.py"


@contextmanager
def loaded() -> Iterator[Any]:
    """The script, loaded from its file among the host's modules."""
    modules, scripts = types.ModuleType("modules"), types.ModuleType("modules.scripts")
    vars(scripts).update(AlwaysVisible=object(), Script=type("Script", (), {}))
    vars(modules).update(scripts=scripts)
    names = {"modules": modules, "modules.scripts": scripts}
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    try:
        spec = importlib.util.spec_from_file_location(SCRIPT.name, SCRIPT)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        [script] = [
            item
            for item in vars(module).values()
            if isinstance(item, type) and issubclass(item, vars(scripts)["Script"])
        ]
        assert script().show(False) is vars(scripts)["AlwaysVisible"]
        yield script()
    finally:
        for name, value in before.items():
            if value is None:
                del sys.modules[name]
            else:
                sys.modules[name] = value


@dataclass
class Processing:
    """The part of `StableDiffusionProcessing` that a script sees."""

    prompt: str | list[str]
    negative_prompt: str = "blurry"
    seed: int = 100
    n_iter: int = 1
    batch_size: int = 1
    subseed_strength: float = 0
    hr_prompt: str | None = None
    extra_generation_params: dict[str, Any] = field(default_factory=dict)
    all_prompts: list[str] = field(default_factory=list)
    all_hr_prompts: list[str] = field(default_factory=list)
    all_negative_prompts: list[str] = field(default_factory=list)
    all_seeds: list[int] = field(default_factory=list)
    main_prompt: str = ""
    iteration: int = 0
    batch_index: int = 0


@dataclass(frozen=True)
class Picture:
    """What a picture was drawn from, and what its file says."""

    prompt: str
    second_prompt: str | None
    negative_prompt: str
    seed: int
    parameters: str


def process_images(p: Processing, script: Any, arguments: list[Any]) -> list[Picture]:
    """A job, as `process_images_inner` goes about it."""
    count = p.batch_size * p.n_iter
    p.all_prompts = list(p.prompt) if isinstance(p.prompt, list) else count * [p.prompt]
    p.all_negative_prompts = count * [p.negative_prompt]
    p.main_prompt = p.all_prompts[0]
    if p.hr_prompt is not None:
        p.all_hr_prompts = [p.hr_prompt or prompt for prompt in p.all_prompts]
    step = 1 if p.subseed_strength == 0 else 0
    p.all_seeds = [p.seed + place * step for place in range(count)]
    script.process(p, *arguments)
    pictures = []
    for iteration in range(p.n_iter):
        p.iteration = iteration
        part = slice(iteration * p.batch_size, (iteration + 1) * p.batch_size)
        prompts, seeds = p.all_prompts[part], p.all_seeds[part]
        negative, second = p.all_negative_prompts[part], p.all_hr_prompts[part]
        for place, prompt in enumerate(prompts):
            p.batch_index = place
            script.postprocess_image(p, object(), *arguments)
            pictures.append(
                Picture(
                    prompt,
                    second[place] if second else None,
                    negative[place],
                    seeds[place],
                    create_infotext(p, prompt, negative[place], seeds[place]),
                )
            )
    return pictures


def create_infotext(p: Processing, prompt: str, negative: str, seed: int) -> str:
    """Prompt, negative prompt, and the settings with those of scripts."""
    settings = {"Steps": 20, "Sampler": "Euler a", "CFG scale": 7, "Seed": seed, "Size": "512x512"}
    text = Improvement(
        source="", prompt=prompt, additions=(), clip_tokens=0, seed=seed, variant=0,
        mode="extend", model="", negative=negative,
    )  # fmt: skip
    return a1111_parameters(text, {**settings, **p.extra_generation_params})
