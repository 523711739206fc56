"""What int8 costs: bits per character in fp32, and in int8 with 8 and 7 bits of activation.

python -m benchmarks.activation_bits runs/pocket/model --heldout heldout_pairs.parquet
"""

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch

from benchmarks.bits_per_character import cleaned, interval
from promptlift.export.builder import T5Shape
from promptlift.export.graphs import decoder_graph, encoder_graph
from promptlift.improving.engines.onnx import OnnxEngine
from promptlift.improving.improver import Improver
from promptlift.pairs.load import load_pairs
from promptlift.records import Pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--heldout", type=Path, required=True)
    args = parser.parse_args()
    trained = Improver.load(args.model)
    torch_model = trained.model.engine.model  # type: ignore[attr-defined]
    shape = T5Shape(
        **{key: getattr(torch_model.config, key) for key in T5Shape.__dataclass_fields__}
    )
    weights = {
        key: value.detach().to(torch.float32).numpy()
        for key, value in torch_model.state_dict().items()
    }
    pairs = cleaned(
        (
            replace(pair, mode="extend")
            for pair in load_pairs(args.heldout)
            if isinstance(pair, Pair)
        ),
        "offers",
    )
    characters = np.array([len(pair.target) + 1 for pair in pairs])
    for name, int8, bits in (("fp32", False, 8), ("int8, 8 bits", True, 8), ("int8, 7", True, 7)):
        with tempfile.TemporaryDirectory() as folder:
            for build, file in ((encoder_graph, "encoder"), (decoder_graph, "decoder")):
                graph = build(shape, weights, int8=int8, activation_bits=bits)
                onnx.save(graph, f"{folder}/{file}.onnx")
            changed = Improver(replace(trained.model, engine=OnnxEngine(Path(folder))))
            found = changed.log_probability(
                [pair.source for pair in pairs], [pair.target for pair in pairs]
            )
        print(name, interval(-found / math.log(2), characters), flush=True)


if __name__ == "__main__":
    main()
