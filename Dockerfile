FROM python:3.12-slim

RUN useradd --uid 10001 --create-home promptlift
WORKDIR /app
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --no-cache-dir '.[web]'

USER promptlift
EXPOSE 8017
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=20s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://localhost:8017/healthz', timeout=3)"]
# Others can reach it, so it starts only with PROMPTLIFT_TOKEN set.
ENTRYPOINT ["promptlift", "serve", "--host", "0.0.0.0", "--image-model", "none"]
