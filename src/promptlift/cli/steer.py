"""`promptlift steer`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import say
from promptlift.cli.parameters import ModelName, TorchThreads, arg, opt
from promptlift.cli.steer_by_hand import pick, redraw
from promptlift.cli.steer_setup import (
    DRAWN,
    OF_SERVERS,
    ONE_NOISE,
    RENAMED,
    STAGE,
    Output,
    drawn_by,
    embedding_for,
    illustrator_of,
    steering,
)
from promptlift.errors import ConfigError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.options import takes
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.steering.config import OptimiseConfig, SameConfig

if TYPE_CHECKING:
    from promptlift.illustrating.illustrator import Illustrator

app = typer.Typer(
    help="Move a picture by its prompt's embedding, and find words for where it went.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
_SCORES = ("clip", "preference", "aesthetic", "aesthetic_clip")
_UNSEEN = 1000  # from here on are the seeds that a result is judged on
Prompt = Annotated[str, arg("The prompt.")]


@app.command()
@takes(
    IllustrationConfig,
    "drawing",
    renamed=RENAMED,
    without=(*OF_SERVERS, "num_inference_steps"),  # whose short name is --steps
)
def blend(
    prompt: Prompt,
    improved: Annotated[str, arg("The improved prompt, or any other.")],
    output: Output,
    steps: Annotated[int, opt("Pictures on the way, both ends included [7].")] = 7,
    num_inference_steps: Annotated[int | None, opt("Denoising steps [the model's own].")] = None,
    threads: TorchThreads = None,
    drawing: Any = None,
) -> None:
    """Draw pictures on the way from one prompt to another, from the same noise.

    Examples:

      promptlift steer blend "a cat" "a cat, soft window light, 50mm" --steps 7 -o runs/cat
    """
    with steering("interrupted; the same command goes on"):
        if steps < 2:
            raise ConfigError(f"steps is {steps} and must be 2 or more: both ends are drawn")
        illustrator = illustrator_of({**drawing, "num_inference_steps": num_inference_steps})

        from promptlift.steering.run import Variant
        from promptlift.steering.vectors import blend as blended

        one, other = (embedding_for(illustrator, text) for text in (prompt, improved))

        def made() -> list[Variant]:
            shares = [place / (steps - 1) for place in range(steps)]
            return [
                Variant(
                    prompt=improved,
                    embedding=blended(illustrator, one, other, share),
                    note=f"{share:.0%} of the way",
                )
                for share in shares
            ]

        _run(output, prompt, illustrator, made, threads, {"improved": improved, "steps": steps})


@app.command()
@takes(OptimiseConfig, "optimising")
@takes(PictureScoringConfig, "scoring", only=_SCORES)
@ONE_NOISE
def optimise(
    prompt: Prompt,
    output: Output,
    improved: Annotated[
        str | None, opt("Begin with this prompt's embedding, and draw it beside the result.")
    ] = None,
    unseen: Annotated[int, opt("Seeds that the result is judged on [4].")] = 4,
    threads: TorchThreads = None,
    optimising: Any = None,
    scoring: Any = None,
    drawing: Any = None,
) -> None:
    """Find an embedding whose picture has more of a metric, and judge it on other seeds.

    Examples:

      promptlift steer optimise "a red star" --metric sharpness -o runs/star

      promptlift steer optimise "a cat" --metric pickscore --picture-model sd15 -o runs/cat
    """
    with steering("interrupted; the same command goes on"):
        config = OptimiseConfig(**optimising)
        if unseen < 1:
            raise ConfigError(f"unseen is {unseen} and must be 1 or more")
        illustrator = illustrator_of(drawing)
        chosen = illustrator.config
        scored = PictureScoringConfig(
            **scoring, device=chosen.device, offline=chosen.offline
        ).resolved(illustrator.backend.name)

        from promptlift.picture_files import PictureReader
        from promptlift.scoring.pictures.feature_cache import FeatureCache
        from promptlift.scoring.pictures.preference_models import ScorerContext
        from promptlift.steering.optimise import Step, graded_scorer
        from promptlift.steering.optimise import optimise as optimised
        from promptlift.steering.run import Variant, compared, scores_of

        start = None if improved is None else embedding_for(illustrator, improved)
        context = ScorerContext(config=scored, cache=FeatureCache(), reader=PictureReader(8))
        scorer = graded_scorer(config.metric, context)

        def told(step: Step) -> None:
            say(f"step {step.number} of {config.iterations}: {scorer.metric.name} "
                f"{_signed(config, step.score):.4g}")  # fmt: skip

        def made() -> list[Variant]:
            best = optimised(
                illustrator, prompt, scorer, config, start=start, state=output / "state.pt",
                on_step=told,
            )  # fmt: skip
            say(f"step {best.number} is the best, {_signed(config, best.score):.4g} on the seeds "
                "that were optimised")  # fmt: skip
            words = [] if improved is None else [Variant(prompt=improved, note="improved prompt")]
            note = f"optimised, {best.number} steps"
            return [*words, Variant(prompt=prompt, embedding=best.embedding, note=note)]

        judge = illustrator.with_seeds(_UNSEEN + chosen.seed, unseen)
        about = {
            **vars(config), **drawn_by(illustrator), "improved": improved, "scorer": scorer.model
        }  # fmt: skip
        names = _run(output, prompt, judge, made, threads, about)
        scores = scores_of(output, scorer, context)
        for line in compared(scores, names, scorer.metric.name):
            say(line)
        begun = scores.original if improved is None else scores.improved[0]
        say(_verdict(scores.improved[max(names)] - begun, config, improved))


@app.command()
@takes(SameConfig, "config")
@ONE_NOISE
def same(
    prompt: Prompt,
    output: Output,
    towards: Annotated[
        str | None,
        opt("Only mix with this prompt: how far towards it is learned, and nothing else."),
    ] = None,
    unseen: Annotated[int, opt("Other seeds that are drawn [4].")] = 4,
    threads: TorchThreads = None,
    config: Any = None,
    drawing: Any = None,
) -> None:
    """Find an embedding that draws one seed's picture from any noise.

    Examples:

      promptlift steer same "a red star" --seed 3 -o runs/star
    """
    with steering("interrupted; the same command goes on"):
        chosen = SameConfig(**config)
        if unseen < 2:
            raise ConfigError(f"unseen is {unseen} and must be 2 or more: they are compared")
        illustrator = illustrator_of(drawing)
        seed = illustrator.config.seed

        from promptlift.steering.run import Variant, likeness
        from promptlift.steering.same import SameStep, guided, unguided

        def told(step: SameStep) -> None:
            if step.number % 10 == 0:
                say(f"step {step.number}, after {step.depth} of denoising: likeness "
                    f"{step.likeness:.3f}")  # fmt: skip

        end = None if towards is None else embedding_for(illustrator, towards)

        def made() -> list[Variant]:
            if end is None:
                found = unguided(illustrator, prompt, seed, chosen, told, output / "state.pt")
                return [Variant(prompt=prompt, embedding=found, note=f"like seed {seed}")]
            found, way = guided(illustrator, prompt, end, seed, chosen, told, output / "state.pt")
            return [Variant(prompt=prompt, embedding=found, note=f"{way:.0%} of the way")]

        others = illustrator.with_seeds(_UNSEEN + seed, unseen)
        about = {**vars(chosen), **drawn_by(illustrator), "towards": towards}
        _run(output, prompt, others, made, threads, about)
        say("likeness of pictures of different seeds, from -1 to 1: {:.3f} of the prompt, "
            "{:.3f} now".format(*likeness(output)))  # fmt: skip


@app.command()
@DRAWN
def words(
    embedding: Annotated[Path, arg("File of an embedding.")],
    output: Annotated[
        Path | None, opt("Run folder for their pictures beside the embedding's.", "--output", "-o")
    ] = None,
    n: Annotated[int, opt("Variants of the prompt to begin with [8].", "-n", "--n")] = 8,
    top: Annotated[int, opt("Prompts to print [5].")] = 5,
    model: ModelName = None,
    words_seed: Annotated[int, opt("Seed of the variants [0].")] = 0,
    threads: TorchThreads = None,
    drawing: Any = None,
) -> None:
    """Print the prompts whose embeddings are nearest, the nearest first.

    Examples:

      promptlift steer words runs/star/embeddings/00.safetensors --top 5

      promptlift steer words cat.safetensors --picture-model sd15 -o runs/words
    """
    with steering("interrupted; the same command goes on"):
        if n < 1 or top < 1:
            raise ConfigError("--n and --top must be 1 or more")

        from promptlift.improving.improver import Improver
        from promptlift.steering.run import Variant
        from promptlift.steering.words import nearest

        illustrator = illustrator_of(drawing)
        found = embedding_for(illustrator, file=embedding)
        improver = Improver.load(model, threads=threads)
        [variants] = improver.improve([found.prompt], n=n, seed=words_seed, mode="extend")
        named = nearest(illustrator, found, variants)[:top]
        for one in named:
            print(f"{one.distance:.4f}\t{one.prompt}", flush=True)
        if output is not None:
            _run(output, found.prompt, illustrator, lambda: [
                Variant(prompt=found.prompt, embedding=found, note="the embedding"),
                *(Variant(prompt=one.prompt, note=f"distance {one.distance:.4f}") for one in named),
            ], threads, {"embedding": found.sha256, "n": n, "top": top, "words_seed": words_seed,
                         "model": improver.model_id})  # fmt: skip


app.command()(pick)
app.command()(redraw)


def _run(
    folder: Path,
    prompt: str,
    illustrator: "Illustrator",
    made: "Callable[[], list[Any]]",
    threads: int | None,
    about: dict[str, Any],
) -> dict[int, str]:
    """Make variants once, draw what is missing, and name each variant by its place."""
    from promptlift.illustrating.inputs import Entry, read_entries
    from promptlift.illustrating.sources import FILE
    from promptlift.prompts.reading import check_prompt
    from promptlift.runs import Run
    from promptlift.steering.run import draw_variants, make_variants
    from promptlift.threads import torch_threads

    check_prompt(prompt, "the prompt")
    run = Run.open(folder)
    with run.alone("steered"), torch_threads(threads, run.threads, STAGE, say):
        make_variants(run, prompt, about, made)
        draw_variants(run, illustrator, say)
    [entry] = [one for one in read_entries(folder / FILE) if isinstance(one, Entry)]
    return {one.variant: one.notes[0] for one in entry.variants}


def _signed(config: OptimiseConfig, score: float) -> float:
    """A score as its metric has it: less of it is optimised as more of its negative."""
    return -score if config.less else score


def _verdict(gains: Any, config: OptimiseConfig, improved: str | None) -> str:
    """Whether it is better than what it began with."""
    wanted = -gains if config.less else gains
    count = int((wanted > 0).sum())
    holds = (
        "it holds"
        if count == len(wanted)
        else "it does not hold"
        if count == 0
        else "it partly holds"
    )
    than = "the prompt" if improved is None else "the improved prompt"
    return f"{holds}: better than {than} on {count} of {len(wanted)} seeds that were not optimised"
