"""A Llama as one ONNX graph, which reads a source at once and then goes on a token at a time.

Kinds whose configuration says "llama" are built alike: SmolLM2, TinyLlama and others. The graph is
built from the weights rather than traced, around `GroupQueryAttention`: it rotates queries and
keys by their positions, and writes keys and values into a row's buffer at that row's own place.
A row's attention then never sees how long its neighbours are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from promptlift.errors import ModelError
from promptlift.export.builder import CONTRIB, GraphBuilder, Weights
from promptlift.export.quantize import BITS, RANKS, TABLE_BITS, Array, by_block, low_rank
from promptlift.improving.engines.onnx_llama import BITS as BITS_PROPERTY
from promptlift.improving.engines.onnx_llama import POSITIONS

SMALLEST_GAIN = 0.05  # of the largest; undoing a smaller one would enlarge errors of rounding
# Sources take up to 1,024 tokens and results fewer. The angles of each position are computed when
# the model is loaded.
MAX_POSITIONS = 4096
# Of what was learned since a base was rounded, the share that products of low rank may miss.
# Rounded to 4 bits they miss a tenth.
MOST_MISSED = 0.3
LEARNED = "learned_"  # prefix of the names of their constants
# Rotary positions whose frequencies do not change with the length of a text.
_ROPE_TYPES = ("default", "linear", "llama3")


@dataclass(frozen=True, kw_only=True)
class LlamaShape:
    """The sizes of a Llama, named as in `transformers.LlamaConfig`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_parameters: dict[str, Any]
    tie_word_embeddings: bool

    @classmethod
    def of(cls, config: Any) -> "LlamaShape":
        """The sizes by a configuration.

        Raises:
            ModelError: it has a part that the graph has no counterpart for.
        """
        rope = config.rope_parameters["rope_type"]
        faults = {
            f"activation {config.hidden_act!r}": config.hidden_act != "silu",
            "biases in attention": config.attention_bias,
            "biases in the feed-forward layers": config.mlp_bias,
            f"rotary positions of type {rope!r}": rope not in _ROPE_TYPES,
            # ONNX Runtime's GroupQueryAttention rotates no others.
            f"heads of size {config.head_dim}, no multiple of 16,": config.head_dim % 16 != 0,
        }
        if found := [name for name, is_so in faults.items() if is_so]:
            raise ModelError(f"a Llama with {' and '.join(found)} cannot be exported.")
        return cls(**{key: getattr(config, key) for key in cls.__dataclass_fields__})

    @property
    def positions(self) -> int:
        """Tokens that a source and its result may have together."""
        return min(self.max_position_embeddings, MAX_POSITIONS)


def graphs(
    shape: LlamaShape, model: Any, precision: str, base: Weights | None = None
) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The file of a Llama by its name; `precision` is "int4", "int8" or "fp32".

    With the weights of a base, as an int4 export has them, these are kept, and products of low
    rank add what the model learned since.
    """
    import torch

    weights: Weights = {
        key.removeprefix("model."): value.to("cpu", torch.float32).numpy()
        for key, value in model.state_dict().items()
    }
    if shape.tie_word_embeddings:
        weights["lm_head.weight"] = weights["embed_tokens.weight"]
    rotary = model.model.rotary_emb
    if rotary.attention_scaling != 1:
        raise ModelError("a Llama whose rotary positions scale attention cannot be exported.")
    weights["frequencies"] = rotary.inv_freq.to("cpu", torch.float32).numpy()
    if precision == "int8":
        weights = rotated(shape, weights)
    yield "decoder.onnx", decoder_graph(shape, weights, precision, base)


def decoder_graph(
    shape: LlamaShape,
    weights: Weights,
    precision: str,
    base: Weights | None = None,
) -> onnx.ModelProto:
    """The tokens of each row that come next; a source, or one token.

    Inputs: `tokens` int64 [batch, tokens], sources padded at the right; `last` int32 [batch], the
    place of each row's last token, counted from its first; `total` int32 [], the largest of
    `last` plus one, of sources their padded length; and for each layer i `past_key_i`,
    `past_value_i` float32 [batch, key heads, room, head size].
    Outputs: `logits` float32 [batch, vocabulary] of the last column, `top_values` float32 and
    `top_ids` int64 [batch, 128], the largest of them; `key_i`, `value_i`, the caches with these
    tokens. An output bound to its input's memory is written in place.
    """
    graph = GraphBuilder(epsilon=shape.rms_norm_eps)
    layers = _Layers(graph, shape, weights, BITS.get(precision), base)
    graph.input("tokens", TensorProto.INT64, ["batch", "tokens"])
    graph.input("last", TensorProto.INT32, ["batch"])
    graph.input("total", TensorProto.INT32, [])
    cache = ["batch", shape.num_key_value_heads, "room", shape.head_dim]
    for index in range(shape.num_hidden_layers):
        for name in ("key", "value"):
            graph.input(f"past_{name}_{index}", TensorProto.FLOAT, cache)
            graph.output(f"{name}_{index}", cache)

    (hidden, make_logits), update = layers.embed_and_head(), ""
    angles = layers.angles()
    for index in range(shape.num_hidden_layers):
        hidden, update = layers.attention(index, hidden, update, angles)
        hidden, update = layers.feed_forward(index, hidden, update)
    layers.check_learned()
    normal, _ = graph.normalize(hidden, update, weights["norm.weight"])
    newest = graph.op("Gather", normal, graph.constant(np.array(-1)), axis=1)
    logits = make_logits(newest)
    graph.candidates(logits, shape.vocab_size)
    model = graph.model("decoder")
    properties = {POSITIONS: str(shape.positions)}
    if layers.bits is not None:
        properties[BITS_PROPERTY] = str(layers.bits)
    onnx.helper.set_model_props(model, properties)
    return model


def rotated(shape: LlamaShape, weights: Weights) -> Weights:
    """The same model with its hidden state turned at random, as QuaRot has it (Ashkboos et al.,
    2024, section 4.1): norms then have no gain, and outliers spread over the whole row.

    Activations then round better: 8 bits cost nothing that can be measured. Weights round worse,
    which only 4 bits notice. The head takes its norm's gain in, which the embedding does not:
    `unembed` [width, width] makes a token's embedding of its row of the head.
    """
    width = shape.hidden_size
    turn = _turn(width)
    found: dict[str, Any] = dict(weights)
    for index in range(shape.num_hidden_layers):
        layer = f"layers.{index}"
        for norm, names in (
            ("input_layernorm", ("self_attn.q", "self_attn.k", "self_attn.v")),
            ("post_attention_layernorm", ("mlp.gate", "mlp.up")),
        ):
            gain = weights[f"{layer}.{norm}.weight"]
            found[f"{layer}.{norm}.weight"] = np.ones(width)
            for name in names:
                key = f"{layer}.{name}_proj.weight"
                found[key] = (weights[key] * gain) @ turn
        for name in ("self_attn.o", "mlp.down"):
            key = f"{layer}.{name}_proj.weight"
            found[key] = turn.T @ weights[key]
    gain = weights["norm.weight"]
    found["norm.weight"] = np.ones(width)
    found["lm_head.weight"] = (weights["lm_head.weight"] * gain) @ turn
    found["embed_tokens.weight"] = weights["embed_tokens.weight"] @ turn
    if shape.tie_word_embeddings and np.abs(gain).min() > SMALLEST_GAIN * np.abs(gain).max():
        found["unembed"] = (turn.T / gain) @ turn
    return {key: np.asarray(value, dtype=np.float32) for key, value in found.items()}


def turned_back(weights: Weights) -> Weights:
    """What `rotated` made, turned back. Gains stay in the products that took them in; where there
    is `unembed`, the last norm has its own again and the table is the head's.

    Raises:
        ValueError: `unembed` was made with another turn.
    """
    turn = _turn(weights["norm.weight"].size)
    found: dict[str, Any] = {}
    for key, value in weights.items():
        if key.endswith(("o_proj.weight", "down_proj.weight")):
            found[key] = turn @ value
        else:
            found[key] = value if key.endswith("norm.weight") else value @ turn.T
    if "unembed" in found:
        back = turn @ found.pop("unembed")  # one over the gain, on its diagonal
        if not np.allclose(back, np.diag(back.diagonal()), atol=1e-3):
            raise ValueError("the hidden state is turned in an unknown way")
        found["norm.weight"] = 1 / back.diagonal()
        found["embed_tokens.weight"] = found["lm_head.weight"] = found["lm_head.weight"] @ back
    return {key: np.asarray(value, dtype=np.float32) for key, value in found.items()}


def _turn(width: int) -> Array:
    """An orthogonal matrix [width, width] at random, the same each time."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(width, width)))
    return turn


@dataclass(frozen=True)
class _Layers:
    """Adds the layers of a Llama to a graph."""

    graph: GraphBuilder
    shape: LlamaShape
    weights: Weights
    bits: int | None
    base: Weights | None = None
    # Sums of squares: of what was learned since, and of what its products miss.
    squares: list[tuple[float, float]] = field(default_factory=list)

    def product(self, hidden: str, matrix: Array, *, output: str = "") -> str:
        if self.bits is None:
            return self.graph.op("MatMul", hidden, self.graph.constant(matrix.T), output=output)
        return self.graph.block_linear(hidden, by_block(matrix, self.bits), output=output)

    def linear(self, hidden: str, *names: str) -> str:
        """Product with the named weights, side by side."""
        matrix = np.concatenate([self.weights[f"{name}.weight"] for name in names])
        if self.base is None:
            return self.product(hidden, matrix)
        kept = np.concatenate([self.base[f"{name}.weight"] for name in names])
        change, learned = matrix - kept, hidden
        inner, outer = low_rank(change)
        missed = change - outer.matrix() @ inner.matrix()
        self.squares.append((float(np.sum(change**2)), float(np.sum(missed**2))))
        for part in (inner, outer):
            name = f"{LEARNED}{len(self.graph.nodes)}"
            learned = self.graph.block_linear(learned, part, name=name)
        return self.graph.op("Add", self.product(hidden, kept), learned)

    def check_learned(self) -> None:
        """Raise ModelError where the products of low rank miss too much of what was learned."""
        learned, missed = np.sum(self.squares or [(0.0, 0.0)], axis=0)
        if missed > MOST_MISSED**2 * learned:
            raise ModelError(
                f"products of rank {RANKS[-1]} miss {np.sqrt(missed / learned):.0%} of what this "
                "model has beside its base. Give the base that its training began with, train "
                "with LoRA of a lower rank, or export it without a base in int8."
            )

    def embed_and_head(self) -> tuple[str, Callable[[str], str]]:
        """The hidden state of the tokens, and what makes logits of the last hidden state."""
        table, head = self.weights["embed_tokens.weight"], self.weights["lm_head.weight"]
        if self.bits is None:
            embedded = self.graph.op("Gather", self.graph.constant(table), "tokens")
            return embedded, lambda hidden: self.product(hidden, head, output="logits")
        stored = by_block(head, TABLE_BITS)
        # A tied table is stored once: as it is, or as the head has it.
        if "unembed" in self.weights:
            unembed = self.graph.constant(self.weights["unembed"])
            embedded = self.graph.op("MatMul", self.graph.block_embed("tokens", stored), unembed)
        else:
            source = stored if table is head else by_block(table, TABLE_BITS)
            embedded = self.graph.block_embed("tokens", source)
        return embedded, lambda hidden: self.graph.block_linear(hidden, stored, output="logits")

    def angles(self) -> tuple[str, str]:
        """Cosine and sine of each position and frequency, which ONNX Runtime computes once."""
        places = self.graph.constant(np.arange(self.shape.positions, dtype=np.float32)[:, None])
        frequencies = self.graph.constant(self.weights["frequencies"][None, :])
        angles = self.graph.op("Mul", places, frequencies)
        return self.graph.op("Cos", angles), self.graph.op("Sin", angles)

    def attention(
        self, index: int, hidden: str, update: str, angles: tuple[str, str]
    ) -> tuple[str, str]:
        """Of each layer: the hidden state with the last update, and the next update."""
        layer = f"layers.{index}"
        gain = self.weights[f"{layer}.input_layernorm.weight"]
        normal, hidden = self.graph.normalize(hidden, update, gain)
        joined = self.linear(normal, *(f"{layer}.self_attn.{part}_proj" for part in "qkv"))
        past = [f"past_key_{index}", f"past_value_{index}"]
        mixed = f"mixed_{index}"
        self.graph.add(
            "GroupQueryAttention",
            [joined, "", "", *past, "last", "total", *angles],
            [mixed, f"key_{index}", f"value_{index}"],
            CONTRIB,
            num_heads=self.shape.num_attention_heads,
            kv_num_heads=self.shape.num_key_value_heads,
            do_rotary=1,
        )
        return hidden, self.linear(mixed, f"{layer}.self_attn.o_proj")

    def feed_forward(self, index: int, hidden: str, update: str) -> tuple[str, str]:
        layer = f"layers.{index}"
        gain = self.weights[f"{layer}.post_attention_layernorm.weight"]
        normal, hidden = self.graph.normalize(hidden, update, gain)
        joined = self.linear(normal, f"{layer}.mlp.gate_proj", f"{layer}.mlp.up_proj")
        gate, plain = self.graph.split(joined, 2)
        # x * sigmoid(x), which PyTorch calls SiLU
        active = self.graph.op("QuickGelu", gate, domain=CONTRIB, alpha=1.0)
        inner = self.graph.op("Mul", active, plain)
        return hidden, self.linear(inner, f"{layer}.mlp.down_proj")
