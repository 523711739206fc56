"""A study: the pairs of one or more runs, dealt to raters once, and judged until all is done."""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from promptlift.errors import ConfigError, InputError
from promptlift.judging.collecting.assignment import deal
from promptlift.judging.collecting.store import VoteStore
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import IMPROVED, ORIGINAL, PERSON, Pair
from promptlift.pictures import Picture, read_index

FILE = "judging/votes.sqlite"


class Study:
    """Pairs, raters and votes of a run. `Study.open` deals them or opens them again.

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
        """The study of the first run, dealt now where there is none.

        Args:
            runs: run folders with pictures. Of several, pictures of the same prompt and seed are
                paired across runs, each system with each.
            config: how pairs are dealt; None for a study that is there already.
            report: is told what is done.
            kind: of the raters of a study that is dealt now, "person" or "simulated".

        Raises:
            InputError: there is nothing to judge.
            ConfigError: the study was dealt with other settings.
        """
        path = runs[0] / FILE
        store = VoteStore(path) if path.is_file() else None
        settings = store.settings() if store else {}
        if not settings and config is None:  # a file without them: killed before pairs were dealt
            raise InputError(f"{runs[0]} has no votes yet. Judge it: promptlift judge {runs[0]}")
        if not settings:
            assert config is not None
            pairs = pairs_of(runs)  # what is wrong with the runs is said before a file is made
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
    pairs: Sequence[Pair],
    config: JudgingConfig,
    runs: Sequence[Path],
    report: Callable[[str], None],
    kind: str,
) -> None:
    # Raters who could guess the seed could tell the sides; the deal itself is kept.
    rng = np.random.default_rng(secrets.randbits(128))
    if config.sample is not None and config.sample < len(pairs):
        chosen = rng.choice(len(pairs), config.sample, replace=False)
        pairs = [pairs[i] for i in sorted(chosen)]
    tasks = deal(
        range(len(pairs)),
        len(config.raters),
        per_pair=config.per_pair,
        repeats=config.repeats,
        attention=config.attention,
        rng=rng,
    )
    settings = {"study": secrets.token_hex(8), "config": _as_text(config, runs)}
    store.set_up(settings, pairs, config.raters, tasks, kind=kind)
    report(f"{len(pairs)} pairs dealt to {len(config.raters)} raters, {config.per_pair} to a pair")


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
            f"the pairs were dealt with other settings: {'; '.join(differing)}. Give the same to "
            f"go on, or move {path} away to deal anew."
        )


def pairs_of(runs: Sequence[Path]) -> list[Pair]:
    """Pictures of one prompt and seed by two systems, each system with each.

    Systems are "original" and "improved", of several runs "improved (NAME)"; of several variants
    of a prompt "improved 2" and so on. Of originals those of the first run count.

    Raises:
        InputError: there are none, or two runs have the same name.
    """
    found: dict[tuple[str, int], dict[str, tuple[Path, Picture]]] = {}
    names = _names(runs)
    if len(set(names)) < len(runs):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two of the runs are named {twice}, and votes could not tell them "
                         "apart; rename a folder")  # fmt: skip
    for run, name in zip(runs, names, strict=True):
        for picture in read_index(run / "pictures"):
            system = _system(picture, name)
            place = found.setdefault((picture.source, picture.seed), {})
            place.setdefault(system, (run, picture))
    pairs = []
    numbers = {prompt: at for at, prompt in enumerate(dict.fromkeys(key[0] for key in found))}
    for (prompt, seed), systems in found.items():
        for first, second in combinations(systems, 2):
            if len(runs) == 1 and ORIGINAL not in (first, second):
                continue  # variants are not judged against one another
            two = [systems[name] for name in (first, second)]
            pairs.append(
                Pair(
                    prompt=prompt,
                    # Runs number their prompts each in its own way.
                    prompt_index=two[0][1].prompt_index if len(runs) == 1 else numbers[prompt],
                    seed=seed,
                    systems=(first, second),
                    files=_pair_of([_name(runs[0], *one) for one in two]),
                    sha256=_pair_of([picture.sha256 for _, picture in two]),
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


def _name(home: Path, run: Path, picture: Picture) -> str:
    path = picture.path
    return path.relative_to(home).as_posix() if run == home else str(path.resolve())


def _pair_of(values: list[Any]) -> Any:
    first, second = values
    return first, second
