"""Votes as preferences: of two texts for one prompt, the one whose pictures people prefer."""

from collections import defaultdict
from dataclasses import dataclass, fields

from promptlift.errors import ConfigError, InputError
from promptlift.judging.collecting.study import Study
from promptlift.judging.records import PERSON, QUESTIONS, SIMULATED
from promptlift.judging.statistics.selecting import counted
from promptlift.pictures import read_index


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A row of TRL's standard preference format (`prompt`, `chosen`, `rejected`), and its votes.

    Attributes:
        prompt: the original prompt.
        chosen: the text whose pictures got more votes, which may be the original prompt.
        rejected: the other text.
        margin: votes for minus votes against, as a share of all votes, above 0, at most 1.
        votes: all of them, ties included.
        ties: votes that preferred neither.
        prompt_index: of the prompt.
        question: what was asked.
        kind: "person", or "simulated" where a program gave the votes.
    """

    prompt: str
    chosen: str
    rejected: str
    margin: float
    votes: int
    ties: int
    prompt_index: int
    question: str
    kind: str


COLUMNS = tuple(item.name for item in fields(Preference))


def preferences_of(
    study: Study, question: str | None = None, *, kind: str = PERSON
) -> tuple[list[Preference], int]:
    """The preferences of a study, and the number of pairs of texts that votes do not decide.

    All votes on two texts count together: of several raters, and of pictures from several seeds.
    Repeated and attention pairs are left out.

    Args:
        study: with votes.
        question: of `QUESTIONS`; None for the last that raters were asked.
        kind: whose votes, "person" or "simulated"; never both.

    Raises:
        ConfigError: the question or the kind is unknown.
        InputError: nobody of this kind voted, or the pictures' index is missing.
    """
    if kind not in (PERSON, SIMULATED):
        raise ConfigError(f"kind is {kind!r} and must be {PERSON} or {SIMULATED}")
    question = question or study.questions[-1]
    if question not in QUESTIONS:
        raise ConfigError(f"question is {question!r} and must be {' or '.join(QUESTIONS)}")
    votes = counted(study.store.votes(), question=question, kind=kind)
    if not votes:
        raise InputError(f"{study.folder} has no votes of a {kind} on {question!r}")
    pairs = {str(pair.id): pair for pair in study.store.pairs()}
    folders = {(study.folder / file).parent for pair in pairs.values() for file in pair.files}
    texts = {one.path: one.prompt for folder in sorted(folders) for one in read_index(folder)}
    tallies: dict[tuple[str, int, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for vote in votes:
        pair = pairs[vote.pair]
        of = {system: texts[study.folder / file]
              for system, file in zip(pair.systems, pair.files, strict=True)}  # fmt: skip
        first, second = sorted(of.values())
        if first == second:
            continue
        winner = None if vote.winner is None else of[vote.winner]
        tally = tallies[pair.prompt, pair.prompt_index, first, second]
        tally[(first, second, None).index(winner)] += 1
    found = [
        Preference(
            prompt=prompt,
            chosen=first if wins > losses else second,
            rejected=second if wins > losses else first,
            margin=abs(wins - losses) / (wins + losses + ties),
            votes=wins + losses + ties,
            ties=ties,
            prompt_index=index,
            question=question,
            kind=kind,
        )
        for (prompt, index, first, second), (wins, losses, ties) in tallies.items()
        if wins != losses
    ]
    found.sort(key=lambda row: (row.prompt_index, row.chosen))
    return found, len(tallies) - len(found)
