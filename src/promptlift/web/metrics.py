"""Figures of a running server for Prometheus, of this process alone. No prompt is in them."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from promptlift.web.service import Service

PATH = "/metrics"
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
        self._registry.register(_Queues(service))

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

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _Queues(Collector):
    """What waits now, and the batches since the start."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        batcher = self._service.batcher
        yield GaugeMetricFamily(
            "promptlift_waiting_results", "Results that wait for the first writer.",
            value=batcher.waiting,
        )  # fmt: skip
        yield CounterMetricFamily(
            "promptlift_batches", "Batches that the first writer has begun.", value=batcher.batches
        )
        yield GaugeMetricFamily(
            "promptlift_waiting_picture_jobs", "Picture jobs that wait.",
            value=self._service.pictures.waiting,
        )  # fmt: skip


def metrics_router(metrics: Metrics) -> APIRouter:
    """The route of the figures."""
    router = APIRouter(tags=["health"])

    @router.get(PATH, summary="Figures for Prometheus", response_class=Response)
    async def read() -> Response:
        """Requests, seconds, results and queues of this process."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
