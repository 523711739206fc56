"""promptlift as a script of A1111, Forge and SD.Next: improves the prompts of pictures.

Copy the folder above `scripts` into `extensions`. Negative prompts are left alone. The picture's
parameters keep both prompts. Where promptlift fails, one line says so and the prompt stays.
"""

from dataclasses import fields
from typing import Any

from modules import scripts

_MOST_BUTTONS = 6  # of a choice; more are a menu
_OURS = "promptlift "  # what our keys in the parameters of a picture begin with


class PromptliftScript(scripts.Script):
    """Always there, and off until it is switched on."""

    def title(self) -> str:
        """The name in the page, and in lower case that in `alwayson_scripts` of the API."""
        return "promptlift"

    def show(self, is_img2img: bool) -> Any:
        """In both tabs, without being chosen from the list of scripts."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        """The controls; their values come back as the arguments of the other functions."""
        import gradio as gr

        from promptlift.improving.tools import ToolOptions

        with gr.Accordion("promptlift", open=False):
            enabled = gr.Checkbox(label="Improve the prompt", value=False)
            controls = [_control(gr, option) for option in fields(ToolOptions)]
        # Parameters of a picture hold the improved prompt: read back, it is not improved again.
        self.infotext_fields = [(enabled, lambda read: False if f"{_OURS}source" in read else None)]
        return [enabled, *controls]

    def process(self, p: Any, enabled: bool = False, *values: Any) -> None:
        """Improve the prompts of all pictures of a job, each with its picture's seed."""
        if enabled and p.all_prompts == getattr(p, "promptlift_prompts", None):
            return  # the host does a job again, and kept our prompts
        _forget(p)
        if not enabled:
            return
        try:
            _improve(p, values)
        except Exception as error:  # whatever it is: a picture of the plain prompt beats none
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(f"promptlift: the prompt stays as it is: {reason}")

    def postprocess_image(self, p: Any, pp: Any, *values: Any) -> None:
        """Where prompts of a job differ, let each picture's parameters name its own."""
        place = getattr(p, "iteration", 0) * p.batch_size + getattr(p, "batch_index", 0)
        notes = getattr(p, "promptlift_notes", [])
        if place < len(notes):
            _write(p, notes[place])


def _improve(p: Any, values: tuple[Any, ...]) -> None:
    from promptlift.improving.tools import ToolOptions, improve_in_tool, infotext

    names = [option.name for option in fields(ToolOptions)]
    options = ToolOptions(**dict(zip(names, values, strict=False)))
    sources = list(p.all_prompts)
    results = improve_in_tool(sources, p.all_seeds, options)
    improved = [
        source if result is None else result.prompt
        for source, result in zip(sources, results, strict=True)
    ]
    notes = [{} if result is None else dict(infotext(result)) for result in results]
    later = list(getattr(p, "all_hr_prompts", None) or [])  # of the second pass
    for place, (source, new) in enumerate(zip(sources, improved, strict=True)):
        if place < len(later) and later[place] == source:  # it has none of its own
            later[place] = new
    # Only now is the job changed: whatever failed above left it as it was.
    if getattr(p, "main_prompt", None) == sources[0]:
        p.main_prompt = improved[0]  # named by grids
    if later:
        p.all_hr_prompts = later
    p.all_prompts, p.promptlift_prompts, p.promptlift_notes = improved, list(improved), notes
    _write(p, notes[0])


def _forget(p: Any) -> None:
    """Take out what an earlier job left, as loops draw several with one `p`."""
    p.promptlift_prompts, p.promptlift_notes = None, []
    _write(p, {})


def _write(p: Any, notes: dict[str, str]) -> None:
    """Let the parameters of pictures say this of us, and nothing else."""
    for key in [key for key in p.extra_generation_params if key.startswith(_OURS)]:
        del p.extra_generation_params[key]
    p.extra_generation_params.update(notes)


def _control(gr: Any, option: Any) -> Any:
    about = {"label": option.name.replace("_", " ").capitalize(), "value": option.default}
    about["info"] = option.metadata["help"]
    if choices := option.metadata.get("choices"):
        control = gr.Radio if len(choices) <= _MOST_BUTTONS else gr.Dropdown
        return control(choices=list(choices), **about)
    least, most = option.metadata["least"], option.metadata["most"]
    step = 0.05 if isinstance(option.default, float) else 1
    return gr.Slider(minimum=least, maximum=most, step=step, **about)
