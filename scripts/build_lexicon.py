"""Make `lexicon/data`: the words that training targets may hold, and the names among them.

    python scripts/build_lexicon.py --prompts prompts.parquet --artists artists.txt \
        --dictionary /usr/share/dict/american-english --given dist.female.first dist.male.first \
        --surnames dist.all.last

Sources: prompts and artists of docs/models/pocket.md; the dictionary is Debian's `wamerican`;
given names and surnames are the lists of the 1990 US census (public domain), as the package
`names` 0.3.0 carries them. The lists in `scripts/lexicon` were made by reading the frequent words:
`terms.txt` words of prompts that no dictionary has, without names of people; `names.txt`
dictionary words that are mostly names in prompts; `ordinary_given.txt` given names that are mostly
ordinary words; `children.txt` words that no prompt should gain unasked.
"""

import argparse
import re
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import pyarrow.parquet as pq

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
# Sexual, gory and hateful words and those near to them; the benchmark counts them in results.
DATA = Path(__file__).parents[1] / "src" / "promptlift" / "lexicon" / "data"
UNSAFE = DATA / "unsafe_words.txt"


def reviewed(name: str) -> set[str]:
    return set((Path(__file__).parent / "lexicon" / f"{name}.txt").read_text().split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("prompts", "artists", "dictionary", "surnames"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--given", type=Path, nargs=2, required=True)
    parser.add_argument("--output", type=Path, default=DATA)
    args = parser.parse_args()

    counts: Counter[str] = Counter()
    bigrams: Counter[tuple[str, str]] = Counter()
    for prompt in pq.read_table(args.prompts)["prompt"].to_pylist():
        words = WORD.findall(prompt.lower())
        counts.update(set(words))
        bigrams.update(set(pairwise(words)))

    terms = reviewed("terms")
    lines = args.dictionary.read_text(encoding="utf-8").split()
    dictionary = {word for word in lines if word == word.lower()}
    refused = reviewed("names") | reviewed("children") | set(UNSAFE.read_text().split())
    allowed = {
        word
        for word, count in counts.items()
        if (word in dictionary and count >= 2) or word in terms
    } - refused

    artists = [WORD.findall(line.lower()) for line in args.artists.read_text("utf-8").split("\n")]
    names = {" ".join(name) for name in artists if len(name) > 1 and allowed.issuperset(name)}
    given = {line.split()[0].lower() for path in args.given for line in path.open()}
    surnames = {line.split()[0].lower() for line in islice(args.surnames.open(), 8000)}
    given -= reviewed("ordinary_given")
    found = Counter(
        {
            f"{first} {last}": count
            for (first, last), count in bigrams.items()
            if first in given and last in surnames and first in allowed and last in allowed
        }
    )
    print(f"{len(allowed)} words, {len(names)} names of painters, {len(found)} other names")
    print("commonest of the others:", ", ".join(f"{n} {c}" for n, c in found.most_common(60)))
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "target_words.txt").write_text("\n".join(sorted(allowed)) + "\n")
    (args.output / "names.txt").write_text("\n".join(sorted(names | set(found))) + "\n")


if __name__ == "__main__":
    main()
