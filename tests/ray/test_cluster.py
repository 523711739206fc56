"""A cluster gives what one process gives, whoever is killed on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from promptlift.improving.batch import PromptSource, improve_items
from promptlift.improving.improver import Improver

pytestmark = pytest.mark.slow
WORDS = ("a red fox", "a lighthouse", "two cats", "a bowl of ramen", "an old bridge")
RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 prompts in two files, one of them empty and one missing."""
    folder = tmp_path_factory.mktemp("prompts")
    texts: list[str | None] = [f"{WORDS[i % 5]} number {i}" for i in range(600)]
    texts[3], texts[400] = None, " "
    for name, part in (("a", texts[:250]), ("b", texts[250:])):
        parquet.write_table(
            pa.table({"prompt": part, "key": [f"{name}{i}" for i in range(len(part))]}),
            folder / f"{name}.parquet",
        )
    return folder


@pytest.fixture(scope="module")
def expected(prompts: Path) -> list[dict[str, Any]]:
    """What one process gives."""
    improver = Improver.load(threads=1)
    source = PromptSource(files=sorted(prompts.iterdir()))
    results = improve_items(improver.session(max_new_tokens=8), source.items(), seed=7)
    return [row for rows in results for row in rows]


def command(prompts: Path, output: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "promptlift", "improve", "--input", str(prompts), "--output",
        str(output), "--engine", "ray", "--seed", "7", "--part-rows", "20", "--id-column", "key",
        "--max-new-tokens", "8", *more,
    ]  # fmt: skip


def run(line: list[str], **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        line, capture_output=True, text=True, env={**os.environ, **more}, timeout=300
    )


def check(output: Path, expected: list[dict[str, Any]]) -> None:
    """That a folder has the rows of one process, each once, byte for byte."""
    rows = dataset.dataset(output).to_table().sort_by("index").to_pylist()
    assert [row["index"] for row in rows] == list(range(len(expected)))
    assert len({row["key"] for row in rows}) == len(expected)
    for row, one in zip(rows, expected, strict=True):
        for name in ("dropped", "checks", "settings"):
            row[name] = json.loads(row[name]) if row[name] else None
        own = {name: row[name] for name in one if name != "line"}
        assert json.dumps(own) == json.dumps({k: v for k, v in one.items() if k != "line"})


def actors(ancestor: int) -> list[psutil.Process]:
    """The actors among the processes that one has begun: other tests may have a cluster too."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or [""]
        if line[0].startswith("ray::MapWorker"):
            with suppress(psutil.NoSuchProcess):
                found += [process] if ancestor in {p.pid for p in process.parents()} else []
    return found


def kill_an_actor(ancestor: int) -> None:
    """Kill one, as soon as there is one: those that were killed are begun anew in their time."""
    found: list[psutil.Process] = []

    def there_is_one() -> bool:
        found.extend(actors(ancestor))
        return bool(found)

    wait_until(there_is_one)
    found[0].send_signal(signal.SIGKILL)


def parts(output: Path) -> int:
    return len(list(output.glob("part-*.parquet")))


def wait_for(output: Path, more_than: int, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 400
    while parts(output) <= more_than:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_killed_workers_and_drivers_lose_nothing(
    tmp_path: Path, prompts: Path, expected: list[dict[str, Any]]
) -> None:
    output = tmp_path / "out"
    killed = 0
    for attempt in range(2):
        more = ["--resume"] if attempt else []
        with subprocess.Popen(
            command(prompts, output, *more), stderr=subprocess.PIPE, text=True
        ) as driver:
            before = parts(output)
            for _ in range(2 - attempt):  # three workers in all
                wait_for(output, before, driver)
                before = parts(output)
                kill_an_actor(driver.pid)
                killed += 1
            wait_for(output, before, driver)
            driver.kill()
    assert killed == 3
    assert 0 < parts(output) < 30
    last = run(command(prompts, output, "--resume"))
    assert last.returncode == 1, last.stderr  # two rows have no prompt
    assert "600 rows" in last.stderr and "2 of them failed" in last.stderr
    check(output, expected)
    assert not [path for path in output.iterdir() if path.name.startswith(".part")]


@contextmanager
def two_machines() -> Iterator[str]:
    """The address of a cluster of two raylets, each with one processor core."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = ["--num-cpus", "1", "--disable-usage-stats", "--block"]
    start = [str(RAY), "start"]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    head = [*start, "--head", "--port", str(port), "--include-dashboard", "false", *common]
    address = f"127.0.0.1:{port}"
    with subprocess.Popen(head, **quiet) as first:
        wait_until(lambda: answers(port))
        with subprocess.Popen([*start, "--address", address, *common], **quiet) as second:
            try:
                count = f"import ray; ray.init('{address}', log_to_driver=False); "
                count += "print(int(ray.cluster_resources().get('CPU', 0)))"
                wait_until(lambda: run([sys.executable, "-c", count]).stdout.strip() == "2")
                yield address
            finally:
                for process in (second, first):
                    process.terminate()
                for process in (second, first):
                    process.wait(60)


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 400
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_two_machines_give_the_same_though_some_are_killed(
    tmp_path: Path, prompts: Path, expected: list[dict[str, Any]]
) -> None:
    output = tmp_path / "out"
    with two_machines() as address:
        line = command(prompts, output, "--ray-address", address)
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as driver:
            wait_for(output, 0, driver)
            kill_an_actor(os.getpid())
            wait_for(output, parts(output), driver)
            driver.kill()
        done = run([*line, "--resume"])
    assert done.returncode == 1, done.stderr
    assert "2 processor cores" in done.stderr
    check(output, expected)


def test_the_same_files_from_one_actor_and_from_a_pipeline(tmp_path: Path, prompts: Path) -> None:
    """One actor writes the bytes that two write, and `map_batches` gives the same rows."""
    few = tmp_path / "few.parquet"
    parquet.write_table(parquet.read_table(prompts / "a.parquet").slice(0, 100), few)
    for count in ("1", "2"):
        line = command(few, tmp_path / count, "--actors", count)
        del line[(place := line.index("--id-column")) : place + 2]
        done = run(line)
        assert done.returncode == 1, done.stderr
    one, two = (sorted((tmp_path / name).glob("part-*")) for name in "12")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) == 5
    code = (
        "import ray, sys; from promptlift.ray import ImproveBatch\n"
        "ray.init('local', num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
        "how = dict(seed=7, max_new_tokens=8)\n"
        "ray.data.read_parquet(sys.argv[1]).map_batches(\n"
        "    ImproveBatch, fn_constructor_kwargs=how, batch_size=32, batch_format='pyarrow',\n"
        "    compute=ray.data.ActorPoolStrategy(size=1)).write_parquet(sys.argv[2])\n"
    )
    done = run([sys.executable, "-c", code, str(few), str(tmp_path / "pipeline")])
    assert done.returncode == 0, done.stderr
    found = dataset.dataset(tmp_path / "pipeline").to_table().sort_by("key")
    own = dataset.dataset(tmp_path / "1").to_table().sort_by("key")
    assert found.equals(own.select(found.column_names))


def test_what_is_refused(tmp_path: Path, prompts: Path) -> None:
    """Each in one line, before a cluster is started."""
    output = tmp_path / "out"
    few = tmp_path / "few.parquet"
    parquet.write_table(parquet.read_table(prompts / "a.parquet").slice(0, 3), few)
    assert run(command(few, output)).returncode == 0

    def refused(line: list[str], status: int = 2) -> str:
        done = run(line)
        assert done.returncode == status, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "holds a finished job" in refused(command(few, output))
    assert "was begun with" in refused(command(few, output, "--resume", "--seed", "8"))
    assert "no column 'text'" in refused(command(few, tmp_path / "x", "--column", "text"), 1)
    assert "no Parquet file" in refused(command(tmp_path / "none", tmp_path / "x"), 1)
    assert "reads --input alone" in refused([*command(few, output), "a cat"])
    plain = [sys.executable, "-m", "promptlift", "improve", "a cat", "--actors", "2"]
    assert "--actors needs --engine ray" in refused(plain)
    assert "no Ray cluster at 127.0.0.1:1" in refused(
        command(few, tmp_path / "y", "--ray-address", "127.0.0.1:1"), 1
    )
