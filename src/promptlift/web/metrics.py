"""Figures of a running server for Prometheus. No prompt is in them.

Several processes behind one address keep theirs in files of a folder, and whichever is asked adds
them up: the multiprocess mode of prometheus-client, which looks for the folder's name in the
environment when it is imported.
"""

import os
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from promptlift.web.service import Service

PATH = "/metrics"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# From a cached answer to a model that writes on a slow machine.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """What a server has done since it started.

    Args:
        service: whose queues are looked at when somebody asks.
    """

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "promptlift_requests", "Requests that were answered, and those that were left (499).",
            ("method", "route", "status"), registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "promptlift_request_seconds", "Time from a request to the end of its answer.",
            ("route",), buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._results = Counter(
            "promptlift_results", "Improved prompts that were asked for.", registry=self._registry
        )
        self._waiting = Gauge(
            "promptlift_waiting_results", "Results that wait for the first writer.",
            multiprocess_mode="livesum", registry=self._registry,
        )  # fmt: skip
        self._jobs = Gauge(
            "promptlift_waiting_picture_jobs", "Picture jobs that wait.",
            multiprocess_mode="livesum", registry=self._registry,
        )  # fmt: skip
        self._batches = Counter(
            "promptlift_batches", "Batches that the first writer has begun.",
            registry=self._registry,
        )  # fmt: skip
        self._service, self._counted = service, 0

    def count(
        self, method: str, route: str | None, status: int, seconds: float, noted: Mapping[str, Any]
    ) -> None:
        """Add a request that has ended."""
        if route == PATH:
            return
        # Anyone may send any method and any path: each label costs memory.
        method, route = (method if method in _METHODS else "other"), route or "none"
        self._requests.labels(method, route, status or 499).inc()
        self._seconds.labels(route).observe(seconds)
        self._results.inc(noted.get("results", 0))
        self._look()

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        self._look()
        registry = self._registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _look(self) -> None:
        """Note what waits now, and the batches since the last look."""
        batcher = self._service.batcher
        self._waiting.set(batcher.waiting)
        self._jobs.set(self._service.pictures.waiting)
        batches = batcher.batches
        self._batches.inc(batches - self._counted)
        self._counted = batches


def metrics_router(metrics: Metrics) -> APIRouter:
    """The route of the figures."""
    router = APIRouter(tags=["health"])

    @router.get(PATH, summary="Figures for Prometheus", response_class=Response)
    async def read() -> Response:
        """Requests, seconds, results and queues since the start."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
