"""Breaks the code in a sample of places and counts how many of the faults the tests notice.

    python -m pytest -n auto --cov --cov-context=test
    python scripts/mutate.py --count 60 --seed 1 --output mutants.json

The first command records which test runs which line, so that the second runs for each fault only
the tests that reach it, in a copy of the checkout. A fault is caught if a test fails. Add
`-m "slow or not slow"` to both for the slow tests too. A fault that changes nothing that anybody
could see ("equivalent") counts as missed until a person marks it: look at each that was missed.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from coverage import CoverageData

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "promptlift"
SECONDS = 900  # a fault may also make the tests hang: that is noticed too

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
# Arguments that say on Linux what is so anyway, or how an option's help is laid out.
UNSEEN = ("encoding", "strict", "help", "show_default", "rich_help_panel")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault: the text from (line, column) to (end_line, end_column) becomes `after`."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    before: str
    after: str
    status: str = "not run"
    caught_by: str = ""


def changes(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Places at or below a node that can be broken, and what to write there."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARED:
            yield node, ast.unparse(ast.Compare(left, [COMPARED[type(op)]()], [right]))
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield node, f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in COMPUTED:
            yield node, f"({ast.unparse(ast.BinOp(left, COMPUTED[type(op)](), right))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield node, repr(value + 1)
        case ast.Expr(value=ast.Call()):
            yield node, "None"
        case ast.Raise():
            yield node, "pass"
        case ast.Break():
            yield node, "continue"
        case ast.Continue():
            yield node, "break"
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() as test):
            yield test, f"(not {ast.unparse(test)})"
        case ast.Call(func=func, args=args, keywords=keywords):
            for index, keyword in enumerate(keywords):
                if keyword.arg not in (None, *UNSEEN):
                    rest = keywords[:index] + keywords[index + 1 :]
                    yield node, ast.unparse(ast.Call(func, args, rest))


def mutants_of(path: Path) -> list[Mutant]:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        # Annotations, and the texts and layout of options: no behaviour.
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            skipped.update(ast.walk(part) if part else ())
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(ast.walk(node))
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        for place, after in changes(node):
            assert isinstance(place, ast.expr | ast.stmt)
            assert place.end_lineno is not None and place.end_col_offset is not None
            before = ast.get_source_segment(text, place) or ""
            mutant = Mutant(
                file=path.relative_to(ROOT).as_posix(),
                line=place.lineno,
                column=place.col_offset,
                end_line=place.end_lineno,
                end_column=place.end_col_offset,
                before=before,
                after=after,
            )
            found.append(mutant)
    return found


def sample(count: int, seed: int) -> list[Mutant]:
    """At least two places of each room, the rest in proportion to how many each has."""
    rooms: dict[str, list[Mutant]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        rooms[parts[0] if len(parts) > 1 else "floor"] += mutants_of(path)
    chance = random.Random(seed)
    chosen: list[Mutant] = []
    rest: list[Mutant] = []
    for mutants in rooms.values():
        chance.shuffle(mutants)
        chosen += mutants[:2]
        rest += mutants[2:]
    chosen += chance.sample(rest, max(0, count - len(chosen)))
    return sorted(chosen[:count], key=lambda mutant: (mutant.file, mutant.line))


def broken(mutant: Mutant) -> str:
    lines = (ROOT / mutant.file).read_bytes().split(b"\n")
    first, last = mutant.line - 1, mutant.end_line - 1
    # Columns of `ast` count bytes of UTF-8.
    changed = lines[first][: mutant.column] + mutant.after.encode()
    lines[first : last + 1] = [changed + lines[last][mutant.end_column :]]
    text = b"\n".join(lines).decode()
    compile(text, mutant.file, "exec")
    return text


def tests_reaching(mutant: Mutant, data: CoverageData) -> list[str]:
    """Tests that run the statement, those of its own module and room first."""
    reached = data.contexts_by_lineno(str(ROOT / mutant.file))
    lines = range(mutant.line, mutant.end_line + 1)
    tests = {name.split("|")[0] for line in lines for name in reached.get(line, ()) if name}
    if not tests:  # run while a module is imported: a table, a default
        tests = {name.split("|")[0] for names in reached.values() for name in names if name}
    path = Path(mutant.file)
    # A room's tests first, and of them the module's.
    own = f"tests/{path.parent.name}/test_{path.stem}.py"
    near = f"tests/{path.parent.name}/"
    return sorted(tests, key=lambda test: (not test.startswith(own), not test.startswith(near)))


def run(mutant: Mutant, copy: Path, data: CoverageData, mark: str | None) -> Mutant:
    tests = tests_reaching(mutant, data)
    if not tests:
        return replace(mutant, status="no test reaches it")
    place = copy / mutant.file
    kept = place.read_text("utf-8")
    place.write_text(broken(mutant), "utf-8")
    listed = copy / ".tests"
    listed.write_text("\n".join(tests), "utf-8")
    line = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"@{listed}"]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*line, *(["-m", mark] if mark else [])],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return replace(mutant, status="caught", caught_by="tests hang")
    finally:
        place.write_text(kept, "utf-8")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode == 0:
        return replace(mutant, status="missed")
    return replace(mutant, status="caught", caught_by=(failed or ["?"])[0][:200])


def copied(folder: Path) -> Path:
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, files.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-m", dest="mark", help="pytest's -m: which tests run")
    parser.add_argument("--data", type=Path, default=ROOT / ".coverage")
    parser.add_argument("--again", type=Path, help="results of an earlier run: its missed places")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    data = CoverageData(str(given.data))
    data.read()
    if given.again:
        mutants = [Mutant(**item) for item in json.loads(given.again.read_text("utf-8"))]
        waiting = [mutant for mutant in mutants if mutant.status != "caught"]
    else:
        mutants = waiting = sample(given.count, given.seed)
    done = {mutant: mutant for mutant in mutants}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(given.jobs):
            copies.put(copied(Path(folder) / str(job)))

        def work(mutant: Mutant) -> None:
            copy = copies.get()
            try:
                done[mutant] = run(mutant, copy, data, given.mark)
            finally:
                copies.put(copy)
            found = done[mutant]
            print(f"{found.status}: {found.file}:{found.line} {found.before!r} -> {found.after!r}")
            sys.stdout.flush()
            results = [asdict(mutant) for mutant in done.values()]
            given.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")

        list(pool.map(work, waiting))
    caught = sum(mutant.status == "caught" for mutant in done.values())
    print(f"{caught} of {len(done)} caught")


if __name__ == "__main__":
    main()
