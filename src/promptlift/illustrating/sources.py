"""The improvements that a run draws: those it has, or made now from its pairs or from a file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.files import sha256_of_file
from promptlift.illustrating.inputs import (
    count_entries,
    holds_improvements,
    read_entries,
    sample_of,
)
from promptlift.improving.batch import Item, PromptSource
from promptlift.improving.improver import Improver
from promptlift.improving.journal import improve_to_file
from promptlift.improving.session import Session
from promptlift.pairs.load import load_pairs
from promptlift.progress import progress
from promptlift.prompts.picture_models.table import DEFAULT
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.schema import ADDED
from promptlift.tables import Fault, write_rows

STAGE = "improving"
FILE = "improvements.jsonl"


@dataclass(frozen=True, kw_only=True)
class ImprovingChoice:
    """How prompts without improvements are improved before they are drawn.

    Attributes:
        improver: as in `Improver.load`; None for a run's own model, else for the default one.
        n: variants of each prompt.
        mode: "extend" or "rewrite"; of a run that of each pair, else what the model has
            learned.
        form: "tags", "paragraph" or "json"; None for that of the picture model where the improver
            writes it, otherwise for "tags", or the first that it has learned.
        picture_model: what the prompts are for, as `--for` of `improve`.
        coherent: drop additions that do not go together; None for what a run was begun with, or
            for the model's or preset's own where it is new.
        preset: "paper" for the paper's decoding, in place of the model's own.
        seed: of the improvements.
        sample: prompts to take, at random; all where None.
        sample_seed: which ones.
    """

    improver: str | None = None
    n: int = 1
    mode: str | None = None
    form: str | None = None
    picture_model: str = DEFAULT
    coherent: bool | None = None
    preset: str | None = None
    seed: int = 0
    sample: int | None = None
    sample_seed: int = 0

    def settings(self) -> dict[str, Any]:
        """The settings as files have them: those that came later only where they say something."""
        found = asdict(self)
        return {name: found[name] for name in found if (name, found[name]) not in ADDED.items()}

    def options(self) -> dict[str, Any]:
        """What is asked of each result, as `Improver.session` takes it."""
        return {name: value for name in ADDED if (value := getattr(self, name, None)) is not None}

    def as_begun(self, config: Mapping[str, Any] | None, prefix: str = "") -> "ImprovingChoice":
        """The choice with `coherent` as a run was begun, unless it says itself.

        Args:
            config: settings that a stage of the run was begun with; None where it was not.
            prefix: of the names of improving's settings among them.
        """
        if self.coherent is not None or config is None:
            return self
        return replace(self, coherent=config.get(f"{prefix}coherent", ADDED["coherent"]))


def improvements_of(
    run: Run,
    prompts: Path | None,
    choice: ImprovingChoice,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """`RUN/improvements.jsonl`, made where it is not there yet; a stopped making goes on.

    Args:
        run: the run folder.
        prompts: file of improvements, which are copied, or of plain prompts, which are improved;
            None for what the run holds: improvements, or validation pairs and a model.
        choice: how prompts are improved, and which are taken.
        report: called with lines of progress.

    Raises:
        InputError: there is nothing to draw.
        ConfigError: the run's improvements were made from something else.
    """
    output = run.folder / FILE
    if prompts is None and output.exists():
        return output
    source = run.folder / "validation.jsonl" if prompts is None else prompts
    if not source.is_file():
        if prompts is not None:
            raise InputError(f"{source} does not exist or is not a file.")
        raise InputError(
            f"{run.folder} holds neither {FILE} nor validation.jsonl, so there is nothing to draw. "
            "Give prompts: promptlift illustrate --prompts FILE --output RUN"
        )
    _check_usable(source, is_pairs=prompts is None)
    inputs = {source.name: sha256_of_file(source)}
    if prompts is not None and holds_improvements(prompts):
        config: dict[str, Any] = {"sample": choice.sample, "sample_seed": choice.sample_seed}
        run.check(STAGE, config, inputs)
        if not output.exists():
            run.begin(STAGE, config, inputs)
            _copy(prompts, output, choice, report)
            run.finish(STAGE, {})
        return output
    improver = Improver.load(choice.improver or _own_model(run, prompts))
    choice = choice.as_begun(run.stage(STAGE).get("config"))
    session = improver.session(preset=choice.preset, **choice.options())
    choice = replace(choice, form=session.target.control.form, coherent=session.control.coherent)
    config = {**choice.settings(), "improver": improver.model_id}
    run.check(STAGE, config, inputs)
    if not output.exists():
        run.begin(STAGE, config, inputs)
        is_pairs = prompts is None
        failed = _improve(session, source, output, choice, inputs, report, is_pairs=is_pairs)
        run.finish(STAGE, {"failed": failed})
    return output


def _check_usable(source: Path, *, is_pairs: bool) -> None:
    """Refuse a file of which nothing can be drawn, before a stage is begun with it."""
    if not is_pairs and holds_improvements(source):
        found = read_entries(source)
        errors = (item.message if isinstance(item, Fault) else None for item in found)
    else:
        errors = (item.checked().error for item in _items(source, is_pairs=is_pairs))
    first = None
    for error in errors:
        if error is None:
            return
        first = first or error
    why = f"; the first row: {first}" if first else ", it is empty"
    raise InputError(f"{source} holds no prompt that can be drawn{why}")


def _own_model(run: Run, prompts: Path | None) -> str | None:
    if prompts is not None:
        return None
    folder = run.folder / "model"
    if not folder.is_dir():
        raise InputError(f"{run.folder} has no trained model yet; name one with --improver")
    return str(folder)


def _copy(path: Path, output: Path, choice: ImprovingChoice, report: Callable[[str], None]) -> None:
    """Improvements as JSONL; of a sample those of its prompts."""
    chosen = sample_of(count_entries(path), choice.sample, choice.sample_seed)

    def rows() -> Iterator[dict[str, Any]]:
        place = -1
        for entry in read_entries(path):
            if isinstance(entry, Fault):
                report(f"{path} line {entry.number} is left out: {entry.message}")
                continue
            place += 1
            if place in chosen:
                yield from entry.to_rows(entry.variants)

    write_rows(output, rows(), ())


def _improve(
    session: Session,
    source: Path,
    output: Path,
    choice: ImprovingChoice,
    inputs: dict[str, str],
    report: Callable[[str], None],
    *,
    is_pairs: bool,
) -> int:
    """Improve the prompts of a file into another, and return how many failed."""
    count = sum(1 for _ in _items(source, is_pairs=is_pairs))
    chosen = sample_of(count, choice.sample, choice.sample_seed)
    report(f"improving {len(chosen)} of {count} prompts of {source} with {session.model.model_id}")
    items = (
        replace(item, mode=choice.mode or item.mode)
        for place, item in enumerate(_items(source, is_pairs=is_pairs))
        if place in chosen
    )
    with progress("prompts improved", report=report) as show:
        return improve_to_file(
            session,
            items,
            output,
            source={**choice.settings(), "files": inputs},
            n=choice.n,
            seed=choice.seed,
            resume=True,
            progress=lambda done: show(done, len(chosen)),
        ).failed


def _items(path: Path, *, is_pairs: bool) -> Iterator[Item]:
    if not is_pairs:
        yield from PromptSource(files=[path]).items()
        return
    for index, row in enumerate(load_pairs(path)):
        if isinstance(row, Pair):
            yield Item(index=index, prompt=row.source, mode=row.mode)
        else:
            yield Item(index=index, prompt=None, line=row.number, error=row.message)
