"""The run folder: what was asked for, what was done, and what came of it.

`RUN/config.json` holds the resolved settings of each stage, `RUN/manifest.json` each stage's
state with seeds, versions and timings. docs/formats.md lists every path and field.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError, PromptliftError
from promptlift.files import LockedError, locked, write_json
from promptlift.schema import upgraded_stages

SCHEMA_VERSION = 1
_MANIFEST, _LOCK = "manifest.json", ".lock"
_VERSIONED = ("promptlift", "torch", "transformers", "tokenizers", "numpy", "onnxruntime")


def check_folder(folder: Path | None) -> None:
    """Refuse a run folder that was named and is not there.

    Raises:
        InputError: it does not exist, or is no folder.
    """
    if folder is not None and not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}; name a run folder.")


class Run:
    """A run folder. `Run.open` makes it or opens it again.

    Raises:
        InputError: the folder holds something else, or a manifest that cannot be read.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self._manifest = manifest
        self._alone = False

    @classmethod
    def open(cls, folder: Path) -> "Run":
        return cls(folder, _read_manifest(folder))

    @contextmanager
    def alone(self, done: str) -> Iterator[None]:
        """Keep other processes from working in the folder, which is made where it is new.

        Within, stages are begun and finished; on Ctrl-C those that are running are noted as
        interrupted. One block may stand within another. A process that is killed holds nothing.

        Args:
            done: what is done with the run meanwhile, as "drawn".

        Raises:
            PromptliftError: another process works in the folder.
        """
        with self._held(done):
            try:
                yield
            except (KeyboardInterrupt, GeneratorExit):
                for name, stage in self._manifest["stages"].items():
                    if stage.get("state") == "running":
                        self.interrupt(name)
                raise

    @contextmanager
    def _held(self, done: str) -> Iterator[None]:
        if self._alone:
            yield
            return
        is_new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.folder / _LOCK, f"{done} {os.getpid()}"):
                if (self.folder / _MANIFEST).exists():  # the last holder may have gone on
                    self._manifest = _read_manifest(self.folder)
                self._alone = True
                yield
        except LockedError as error:
            raise PromptliftError(self._busy(str(error), done)) from error
        finally:
            self._alone = False
            if is_new:
                with suppress(OSError):  # it holds something: the run was begun
                    self.folder.rmdir()

    @property
    def threads(self) -> dict[str, int]:
        """Processor threads by stage; what is noted here is kept when a stage begins."""
        found: dict[str, int] = self._manifest.setdefault("threads", {})
        return found

    @property
    def stages(self) -> dict[str, Any]:
        """What the manifest says of all stages, by name."""
        return dict(self._manifest["stages"])

    def stage(self, name: str) -> dict[str, Any]:
        """What the manifest says of a stage; empty when it was never begun."""
        return dict(self._manifest["stages"].get(name, {}))

    def forget(self, name: str) -> None:
        """Take a stage for one that was never begun, so that it can be done with other settings."""
        self._manifest["stages"].pop(name, None)

    def check(self, name: str, config: dict[str, Any], inputs: dict[str, str]) -> None:
        """Compare settings and inputs with those that a stage was begun with.

        Raises:
            ConfigError: they differ.
        """
        earlier = self.stage(name)
        asked = {"config": config, "inputs": inputs}
        differing = [
            f"{key} was {earlier[kind].get(key)!r}, now {asked[kind].get(key)!r}"
            for kind in asked
            if earlier
            for key in sorted({*earlier[kind], *asked[kind]})
            if earlier[kind].get(key) != asked[kind].get(key)
        ]
        if differing:
            raise ConfigError(
                f"{self.folder} was begun with other settings: {'; '.join(differing)}. "
                "Give the same settings to go on, or name another folder."
            )

    def begin(
        self, name: str, config: dict[str, Any], inputs: dict[str, str], *, anew: bool = False
    ) -> None:
        """Note that a stage begins, with its resolved settings and the hashes of its inputs.

        Args:
            name: of the stage.
            config: resolved settings.
            inputs: hashes of what it reads.
            anew: other settings than before are welcome, as its results are made anew.

        Raises:
            ConfigError: the stage was begun with other settings or inputs, and not `anew`.
        """
        if not anew:
            self.check(name, config, inputs)
        earlier = {} if anew else self.stage(name)
        stage = {
            **earlier,
            "state": "running",
            "config": config,
            "inputs": inputs,
            "started": earlier.get("started", _now()),
            "versions": {"platform": sys.platform, **versions_of(_VERSIONED)},
            "git_revision": _git_revision(),
        }
        self._save(name, stage)
        configs = {stage: found["config"] for stage, found in self._manifest["stages"].items()}
        write_json(self.folder / "config.json", {"schema_version": SCHEMA_VERSION, **configs})

    def finish(self, name: str, results: dict[str, Any]) -> None:
        """Note that a stage is complete, with its figures."""
        stage = self.stage(name)
        self._save(name, {**stage, "state": "done", "finished": _now(), "results": results})

    def note(self, name: str, **values: Any) -> None:
        """Note more of a stage that was begun; what it was begun with stays."""
        self._save(name, {**self.stage(name), **values})

    def interrupt(self, name: str) -> None:
        """Note that a stage was stopped and can go on."""
        self.note(name, state="interrupted")

    def _busy(self, note: str, done: str) -> str:
        """What to say of a folder that is locked, by the note of whoever locked it."""
        doing, _, pid = note.partition(" ")
        who = "another process" + (f" (pid {pid})" if pid.isdigit() else "")
        if pid == str(os.getpid()):
            who = "this process"
        return (
            f"{self.folder} is being {doing or done} by {who} already; "
            "wait for it, or name another folder"
        )

    def _save(self, name: str, stage: dict[str, Any]) -> None:
        self._manifest["stages"][name] = stage
        write_json(self.folder / _MANIFEST, self._manifest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder, or that of a run that was never begun."""
    path = folder / _MANIFEST
    if not path.exists():
        # A kill may have come while the manifest was written for the first time.
        ours = (_LOCK, f".{_MANIFEST}.")
        if folder.exists() and not all(one.name.startswith(ours) for one in folder.iterdir()):
            raise InputError(f"{folder} is not empty and not a run folder; name another one.")
        return {"schema_version": SCHEMA_VERSION, "stages": {}}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stages = manifest["stages"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a run's manifest: {error}") from error
    if manifest.get("schema_version") != SCHEMA_VERSION or not isinstance(stages, dict):
        raise InputError(f"{path} is of another version of promptlift; name another folder.")
    return {**manifest, "stages": upgraded_stages(stages)}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _git_revision() -> str | None:
    """Revision of the checkout that this package runs from, None when it is installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
