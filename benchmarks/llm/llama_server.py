"""llama.cpp's own HTTP server with a GGUF file, as the package `xllamacpp` carries it prebuilt.

    python -m venv llama && llama/bin/pip install --no-deps xllamacpp
    llama/bin/python benchmarks/llm/llama_server.py MODEL.gguf --port 8033

It imports nothing of promptlift. `llama-server -m MODEL.gguf --port 8033` does the same.
"""

import argparse
import threading
from pathlib import Path


def main() -> None:
    import xllamacpp  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=8033)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=2, help="answers at a time")
    parser.add_argument("--context", type=int, default=4096, help="tokens of all answers together")
    args = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = str(args.model), {args.model.stem}
    params.hostnames, params.port = ["127.0.0.1"], args.port
    params.n_ctx, params.n_parallel = args.context, args.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    server = xllamacpp.Server(params)
    print(f"{args.model} at {server.listening_address}/v1", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
