"""A study: the pairs of one or more runs, assigned to raters once, then judged."""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np

from promptlift.errors import ConfigError, InputError
from promptlift.judging.collecting.assignment import assign
from promptlift.judging.collecting.store import VoteStore
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import PERSON, JudgedPair
from promptlift.pictures import IMPROVED, ORIGINAL, Picture, by_noise, read_index
from promptlift.runs import check_folder

FILE = "judging/votes.sqlite"


class Study:
    """Pairs, raters and votes of a run. `Study.open` begins a study or opens it again.

    Attributes:
        folder: the run in which the votes are kept.
        store: the votes.
        questions: what raters are asked of each pair, in this order.
    """

    def __init__(self, folder: Path, store: VoteStore) -> None:
        self.folder, self.store = folder, store
        config = json.loads(store.settings()["config"])
        self.questions: tuple[str, ...] = tuple(config["questions"])
        self._names = _names(map(Path, config["runs"]))

    @classmethod
    def open(
        cls,
        runs: Sequence[Path],
        config: JudgingConfig | None,
        report: Callable[[str], None] = lambda line: None,
        *,
        kind: str = PERSON,
    ) -> "Study":
        """The study of the first run; where there is none, begin it.

        Args:
            runs: run folders with pictures. Of several, pictures of the same prompt and seed are
                paired across runs, each system with each.
            config: how pairs are assigned; None for a study that has begun.
            report: called with a line of progress.
            kind: of the raters of a study that begins now, "person" or "simulated".

        Raises:
            InputError: a run folder is not there, or there is nothing to judge.
            ConfigError: the study began with other settings.
        """
        for run in runs:
            check_folder(run)
        path = runs[0] / FILE
        store = VoteStore(path) if path.is_file() else None
        settings = store.settings() if store else {}
        if not settings and config is None:  # a file without them: killed before `_set_up` was done
            raise InputError(f"{runs[0]} has no votes yet. Judge it: promptlift judge {runs[0]}")
        if not settings:
            assert config is not None
            pairs = pairs_of(runs)  # problems of the runs are reported before a file is made
            store = store or VoteStore(path)
            _set_up(store, pairs, config, runs, report, kind)
        elif config is not None:
            _check(path, settings, config, runs)
        assert store is not None
        return cls(runs[0], store)

    def system_of(self, picture: Picture) -> str:
        """The name under which a picture of the first run is judged."""
        return _system(picture, self._names[0])


def _set_up(
    store: VoteStore,
    pairs: Sequence[JudgedPair],
    config: JudgingConfig,
    runs: Sequence[Path],
    report: Callable[[str], None],
    kind: str,
) -> None:
    # Raters who could guess the seed could tell the sides; the assignment itself is stored.
    rng = np.random.default_rng(secrets.randbits(128))
    if config.sample is not None and config.sample < len(pairs):
        chosen = rng.choice(len(pairs), config.sample, replace=False)
        pairs = [pairs[i] for i in sorted(chosen)]
    tasks = assign(
        range(len(pairs)),
        len(config.raters),
        per_pair=config.per_pair,
        repeats=config.repeats,
        attention=config.attention,
        rng=rng,
    )
    settings = {"study": secrets.token_hex(8), "config": _as_text(config, runs)}
    store.set_up(settings, pairs, config.raters, tasks, kind=kind)
    report(
        f"{len(pairs)} pairs assigned to {len(config.raters)} raters, {config.per_pair} to a pair"
    )


def _as_text(config: JudgingConfig, runs: Sequence[Path]) -> str:
    return json.dumps({**asdict(config), "runs": [str(run.resolve()) for run in runs]})


def _check(
    path: Path, settings: dict[str, str], config: JudgingConfig, runs: Sequence[Path]
) -> None:
    was = json.loads(settings["config"])
    now = json.loads(_as_text(config, runs))
    if len(runs) == 1 and len(was["runs"]) == 1:
        del was["runs"], now["runs"]  # a run may have been moved
    differing = [f"{name} was {was.get(name)!r}, now {now[name]!r}" for name in now
                 if was.get(name) != now[name]]  # fmt: skip
    if differing:
        raise ConfigError(
            f"the study began with other settings: {'; '.join(differing)}. Give the same to go on, "
            f"or move {path} away to begin again."
        )


def pairs_of(runs: Sequence[Path]) -> list[JudgedPair]:
    """Pictures of one prompt and seed by two systems, each system with each.

    Systems are "original" and "improved"; with several runs "improved (NAME)"; further variants of
    a prompt are "improved 2" and so on. Originals come from the first run.

    Raises:
        InputError: there are none, or two runs have the same name.
    """
    names = _names(runs)
    if len(set(names)) < len(runs):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two of the runs are named {twice}, and votes could not tell them "
                         "apart; rename a folder")  # fmt: skip
    run_of = {run / "pictures": name for run, name in zip(runs, names, strict=True)}
    pictures = [picture for folder in run_of for picture in read_index(folder)]
    numbers = {source: at for at, source in enumerate(dict.fromkeys(p.source for p in pictures))}
    pairs = []
    for (prompt, seed), same in by_noise(pictures, lambda one: one.source).items():
        systems: dict[str, Picture] = {}
        for picture in same:
            systems.setdefault(_system(picture, run_of[picture.path.parent]), picture)
        for (name, first), (other, second) in combinations(systems.items(), 2):
            if len(runs) == 1 and ORIGINAL not in (name, other):
                continue  # variants are not judged against one another
            pairs.append(
                JudgedPair(
                    prompt=prompt,
                    # Each run numbers its prompts in its own way.
                    prompt_index=first.prompt_index if len(runs) == 1 else numbers[prompt],
                    seed=seed,
                    systems=(name, other),
                    files=(_file(runs[0], first), _file(runs[0], second)),
                    sha256=(first.sha256, second.sha256),
                )
            )
    if not pairs:
        raise InputError(
            f"{runs[0]} has no two pictures of one prompt. "
            f"Draw them: promptlift illustrate {runs[0]}"
        )
    return pairs


def _names(runs: Iterable[Path]) -> list[str | None]:
    """What tells runs apart in the names of systems; None for one alone."""
    names: list[str | None] = [run.resolve().name for run in runs]
    return names if len(names) > 1 else [None]


def _system(picture: Picture, run: str | None) -> str:
    if picture.side == ORIGINAL:
        return ORIGINAL
    variant = f" {picture.variant + 1}" if picture.variant else ""
    return f"{IMPROVED}{variant}" + (f" ({run})" if run else "")


def _file(home: Path, picture: Picture) -> str:
    path = picture.path
    inside = path.parent.parent == home
    return path.relative_to(home).as_posix() if inside else str(path.resolve())
