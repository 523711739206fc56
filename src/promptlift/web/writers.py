"""The models that may write: the one that the server was started with, and others of a list.

A request names one of the list, so none can make the server ask another host.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from promptlift.errors import ModelError
from promptlift.improving.chat_model import ChatModel
from promptlift.improving.improver import Improver
from promptlift.improving.loading import bundled_model_path
from promptlift.improving.manifest import Manifest, ModelCard
from promptlift.web.batcher import Batcher

_log = logging.getLogger("promptlift.web")


@dataclass(frozen=True)
class Listed:
    """A model that may write, loaded or not.

    Attributes:
        model_id: `name@hash`, by which a request names it.
        card: its metadata.
        server: the address of the server whose model it is; None for one of this process.
        load: loads it.
    """

    model_id: str
    card: ModelCard
    server: str | None
    load: Callable[[], Improver]


class Writers:
    """A batcher for each model that writes; that of another model is made when it is first named.

    `first` is the one of the model that writes where a request names none.

    Args:
        improver: that model.
        make: makes the batcher of a model.
        others: whether requests may name the bundled model too, and the other models of the server
            whose model `improver` is.
        threads: as in `Improver.load`.
    """

    def __init__(
        self,
        improver: Improver,
        make: Callable[[Improver], Batcher],
        *,
        others: bool = False,
        threads: int | None = None,
    ) -> None:
        self.first = make(improver)
        self._make, self._others, self._threads = make, others, threads
        self._batchers = {improver.model_id: self.first}
        self._loading = asyncio.Lock()
        self._here = [_listed(improver)]
        if others and (bundled := self._bundled()).model_id != improver.model_id:
            self._here.append(bundled)
        self._there: list[Listed] = []  # as the server said last

    def listed(self) -> list[Listed]:
        """All that requests may name, the first one first; the server is asked for its models."""
        model = self.first.improver.model
        if self._others and isinstance(model, ChatModel):
            try:
                self._there = [_listed(Improver(other)) for other in model.others()]
            except ModelError as error:  # it may be back before anybody asks for one
                _log.warning("%s", error)
        return self._known

    @property
    def _known(self) -> list[Listed]:
        return [*self._here, *self._there]

    @property
    def ids(self) -> list[str]:
        """Of the models that are known now."""
        return [one.model_id for one in self._known]

    async def get(self, name: str | None) -> Batcher | None:
        """The batcher of a model, by its name or id; None where it is not on the list.

        Raises:
            ModelError: it cannot be loaded.
        """
        if name is None:
            return self.first
        found = _find(self._known, name)
        if found is None and self._others:
            found = _find(await asyncio.to_thread(self.listed), name)
        if found is None:
            return None
        async with self._loading:
            if found.model_id not in self._batchers:
                batcher = self._make(await asyncio.to_thread(found.load))
                batcher.start()
                self._batchers[found.model_id] = batcher
        return self._batchers[found.model_id]

    def of(self, model_id: str) -> Batcher:
        """The batcher of a result's model, where it has written here; otherwise the first one."""
        return self._batchers.get(model_id, self.first)

    async def stop(self, within_s: float) -> None:
        """Stop all of them, as `Batcher.stop` does."""
        async with self._loading:
            await asyncio.gather(*(one.stop(within_s) for one in self._batchers.values()))

    def _bundled(self) -> Listed:
        folder = bundled_model_path()
        manifest = Manifest.read(folder)
        load = partial(Improver.load, folder, threads=self._threads)
        return Listed(manifest.model_id, manifest.card, None, load)


def _listed(improver: Improver) -> Listed:
    model = improver.model
    server = model.base if isinstance(model, ChatModel) else None
    return Listed(improver.model_id, improver.card, server, lambda: improver)


def _find(known: list[Listed], name: str) -> Listed | None:
    """The model of an id, or the first one of a name."""
    by_id = (one for one in known if one.model_id == name)
    return next(by_id, None) or next((one for one in known if one.card.name == name), None)
