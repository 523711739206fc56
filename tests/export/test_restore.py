"""What was exported can be trained again: its weights come back as they were rounded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file
from transformers import LlamaConfig

from promptlift.errors import ConfigError, ModelError
from promptlift.export.export import export_model
from promptlift.export.llama import LlamaShape
from promptlift.export.quantize import TABLE_BITS, by_block
from promptlift.export.restore import base_weights, restore_model
from promptlift.files import sha256_of_file
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.improver import Improver
from promptlift.improving.loading import bundled_model_path
from promptlift.improving.manifest import MANIFEST_FILE, Manifest, ModelCard
from tests.conftest import HEADS, NEEDS_BUNDLED, POCKET, CopyOf, make_llama, make_t5

# Family, precision, whether the head is its own.
MODELS = [
    *(("t5", precision, own) for precision in ("int8", "fp32") for own in (False, True)),
    *(("llama", precision, own) for precision in ("int8", "int4") for own in (False, True)),
    ("llama", "fp32", False),
]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module", params=MODELS, ids=str)
def folders(
    request: pytest.FixtureRequest, own_words: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Path]:
    """A trained folder, its export, and what was restored of that."""
    family, precision, own_head = request.param
    trained = tmp_path_factory.mktemp("models") / family
    make = make_t5 if family == "t5" else make_llama
    make(trained, own_head=own_head)
    if family == "llama":
        large_gains(trained)
    exported = trained.with_name("exported")
    export_model(trained, exported, precision=precision, calibration=own_words)
    return trained, exported, restore_model(exported, trained.with_name("restored"))


def large_gains(folder: Path) -> None:
    """A last norm whose gains are large enough for one table, turned, to serve as both."""
    weights = load_file(folder / WEIGHTS)
    gain = weights["model.norm.weight"]
    weights["model.norm.weight"] = np.sign(gain) * np.maximum(np.abs(gain), 0.3)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def constants(folder: Path) -> dict[str, np.ndarray]:
    """Those of all graphs, by file and name."""
    return {
        f"{path.name} {item.name}": numpy_helper.to_array(item)
        for path in sorted(folder.glob("*.onnx"))
        for item in onnx.load(path).graph.initializer
    }


def likely(folder: Path) -> np.ndarray:
    """Log-probabilities in two steps after the same sources."""
    model = Improver.load(folder, threads=1).here
    state = model.engine.start(*model.codec.pad(model.codec.encode(HEADS)))
    start = np.full(len(HEADS), model.codec.special.decoder_start)
    logits = np.stack([state.step(start).all(), state.step(start + 5).all()])
    found: np.ndarray = torch.tensor(logits).log_softmax(-1).numpy()
    return found


def test_exported_again_it_has_the_same_weights_and_results(
    folders: tuple[Path, Path, Path], own_words: Path, tmp_path: Path
) -> None:
    _, exported, restored = folders
    manifest = Manifest.read(exported)
    again = export_model(
        restored, tmp_path / "again", precision=manifest.precision, calibration=own_words
    )
    assert again.architecture == manifest.architecture
    assert (again.tokens, again.card) == (manifest.tokens, manifest.card)
    before, after = constants(exported), constants(tmp_path / "again")
    assert before.keys() == after.keys()
    for name, value in before.items():
        if value.dtype == np.float32:
            np.testing.assert_allclose(after[name], value, rtol=1e-5, atol=1e-5)
        else:  # whole numbers, and scales in half precision: all of them
            np.testing.assert_array_equal(after[name], value)
    np.testing.assert_allclose(likely(tmp_path / "again"), likely(exported), atol=1e-3)


def test_weights_are_those_that_were_trained_but_for_rounding(
    folders: tuple[Path, Path, Path],
) -> None:
    trained, exported, restored = folders
    before, after = load_file(trained / WEIGHTS), load_file(restored / WEIGHTS)
    manifest = Manifest.read(exported)
    assert after.keys() == before.keys()
    if manifest.family == "llama" and manifest.precision == "int8":
        return  # products have taken gains in: the logits are what is left to compare
    for name, value in before.items():
        if "relative" in name:
            value[~after[name].any(axis=1)] = 0  # a bucket that no distance falls into
        if manifest.precision == "fp32" or value.ndim == 1 or "relative" in name:
            np.testing.assert_array_equal(after[name], value)
        elif manifest.precision == "int4":
            bits = 4 if "proj" in name else TABLE_BITS
            np.testing.assert_array_equal(after[name], by_block(value, bits).matrix())
        else:
            step = np.abs(value).max(axis=1, keepdims=True) / 127
            assert (np.abs(after[name] - value) <= 0.51 * step).all()


def test_pytorch_computes_what_the_export_does(folders: tuple[Path, Path, Path]) -> None:
    _, exported, restored = folders
    exact = Manifest.read(exported).precision == "fp32"
    assert np.abs(likely(restored) - likely(exported)).mean() < (1e-4 if exact else 0.1)


def test_texts_are_cut_as_before_and_improved(folders: tuple[Path, Path, Path]) -> None:
    trained, _, restored = folders
    before, after = load_torch(str(trained)).codec, load_torch(str(restored)).codec
    texts = [f"extend: {head} <unk> 😀" for head in HEADS]
    assert after.encode(texts) == before.encode(texts)
    assert after.special == before.special
    assert Improver.load(restored).improve("a cat", seed=1)[0].source == "a cat"


def test_a_table_stored_twice_comes_back_as_two(
    tmp_path: Path, own_words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.export.llama.SMALLEST_GAIN", 2.0)
    trained = make_llama(tmp_path / "llama")
    export_model(trained, tmp_path / "out", calibration=own_words)
    restored = restore_model(tmp_path / "out", tmp_path / "restored")
    assert "lm_head.weight" in load_file(restored / WEIGHTS)
    assert np.abs(likely(restored) - likely(trained)).mean() < 0.1


def changed(folder: Path, **architecture: Any) -> Path:
    """The folder, whose manifest says something else."""
    values = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    values["architecture"] |= architecture
    (folder / MANIFEST_FILE).write_text(json.dumps(values), "utf-8")
    return folder


@pytest.mark.parametrize(
    "architecture", [{"num_layers": 2}, {"num_layers": 5}, {"d_ff": 8}, {"is_gated_act": False}]
)
def test_a_graph_of_another_form_is_one_line_and_leaves_nothing(
    copy_of: CopyOf, tmp_path: Path, architecture: dict[str, Any]
) -> None:
    folder = changed(copy_of(POCKET), **architecture)
    with pytest.raises(ModelError, match=r"exported by promptlift 0\.1\.0 in a form that this"):
        restore_model(folder, tmp_path / "restored")
    assert list(tmp_path.iterdir()) == [folder]


def test_damaged_and_unknown_models_are_refused(copy_of: CopyOf, tmp_path: Path) -> None:
    folder = copy_of(POCKET)
    with pytest.raises(ModelError, match="holds a 'mamba' model, and this promptlift restores t5"):
        restore_model(changed(folder, model_type="mamba"), tmp_path / "restored")
    data = bytearray((folder / "decoder.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "decoder.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"decoder\.onnx is damaged"):
        restore_model(folder, tmp_path / "restored")


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    left = tmp_path / ".restored.new"
    left.mkdir()
    (left / "half").write_text("")
    restored = restore_model(POCKET, tmp_path / "restored")
    assert not left.exists() and not (restored / "half").exists()
    assert ModelCard.read(restored) == Manifest.read(POCKET).card


@NEEDS_BUNDLED
@pytest.mark.slow
def test_the_bundled_model_comes_back_to_the_same_bytes(own_words: Path, tmp_path: Path) -> None:
    bundled = bundled_model_path()
    restored = restore_model(bundled, tmp_path / "restored")
    models = Improver.load(bundled, threads=1), Improver.load(restored, threads=1)
    # Activations are rounded in the export alone: nearly all, not all, greedy texts are the same.
    first, second = (
        [
            results[0].prompt
            for results in model.improve_stream(HEADS, seed=0, do_sample=False, best_of=1)
        ]
        for model in models
    )
    assert sum(one == other for one, other in zip(first, second, strict=True)) >= len(HEADS) // 2
    again = export_model(restored, tmp_path / "again", precision="int4", calibration=own_words)
    before = Manifest.read(bundled)
    for name in ("decoder.onnx.1", "decoder.onnx.2", "tokenizer.json"):
        assert again.files[name] == before.files[name]


@pytest.fixture(scope="module")
def learned_since(
    llama_folder: Path, own_words: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Path]:
    """An int4 export, what was trained on from its weights, and the export of that beside them."""
    folder = tmp_path_factory.mktemp("learned")
    base, trained, again = (folder / name for name in ("base", "trained", "again"))
    export_model(llama_folder, base, precision="int4", calibration=own_words)
    restore_model(base, trained)
    generator, weights = np.random.default_rng(0), load_file(trained / WEIGHTS)
    for name, value in weights.items():
        if "proj" in name:
            rows, columns = (generator.normal(size=(size, 4)) for size in value.shape)
            weights[name] = value + (0.01 * rows @ columns.T).astype(np.float32)
    save_file(weights, trained / WEIGHTS, {"format": "pt"})
    export_model(trained, again, precision="int4", base=base, calibration=own_words)
    return base, trained, again


def test_what_was_learned_since_is_added_to_the_weights_of_a_base(
    learned_since: tuple[Path, Path, Path], own_words: Path, tmp_path: Path
) -> None:
    base, trained, again = learned_since
    shape = LlamaShape.of(LlamaConfig.from_pretrained(trained))
    kept, first = base_weights(again, shape), base_weights(base, shape)
    assert all((kept[name] == value).all() for name, value in first.items())
    before, after, found = (
        load_file(folder / WEIGHTS)
        for folder in (
            restore_model(base, tmp_path / "before"),
            trained,
            restore_model(again, tmp_path / "after"),
        )
    )
    for name, value in after.items():
        change = np.linalg.norm(value - before[name])
        assert np.linalg.norm(found[name] - value) <= 0.15 * change
    # Exported alone, the small changes are rounded away, or move the steps of whole blocks.
    export_model(trained, tmp_path / "alone", precision="int4", calibration=own_words)
    checks = [Manifest.read(folder).check for folder in (again, tmp_path / "alone")]
    errors = [abs(check["loss_exported"] - check["loss_pytorch"]) for check in checks]
    assert errors[0] < errors[1]


def test_results_beside_a_base_do_not_depend_on_the_batch(
    learned_since: tuple[Path, Path, Path],
) -> None:
    improver = Improver.load(learned_since[2], threads=1)
    together = improver.improve(HEADS, seed=0)
    assert [improver.improve(head, seed=0) for head in HEADS] == together


def test_a_base_that_cannot_be_one_is_named(
    learned_since: tuple[Path, Path, Path], own_words: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    _, trained, _ = learned_since
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"'int8', and with a base it must be int4\. Pass"):
        export_model(trained, out, base=POCKET, calibration=own_words)
    wide = make_llama(tmp_path / "wide", heads=12)
    export_model(wide, tmp_path / "wide4", precision="int4", calibration=own_words)
    for base in (tmp_path / "wide4", POCKET):
        with pytest.raises(ModelError, match="is no int4 export of a Llama with the sizes"):
            export_model(trained, out, precision="int4", base=base, calibration=own_words)
    with pytest.raises(ModelError, match=r"is .* a model folder"):
        export_model(trained, out, precision="int4", base=trained, calibration=own_words)
    other = make_llama(tmp_path / "other", heads=12, seed=1)
    with pytest.raises(ModelError, match=r"^products of rank 64 miss \d+% of what this model has"):
        export_model(other, out, precision="int4", base=tmp_path / "wide4", calibration=own_words)
    broken = copy_of(learned_since[0])
    graph = onnx.load(str(broken / "decoder.onnx"))
    del graph.graph.node[-20:]
    onnx.save(graph, str(broken / "decoder.onnx"))
    manifest = json.loads((broken / MANIFEST_FILE).read_text())
    manifest["files"]["decoder.onnx"] = sha256_of_file(broken / "decoder.onnx")
    (broken / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="in a form that this version cannot read back"):
        export_model(trained, out, precision="int4", base=broken, calibration=own_words)
    assert not out.exists()


def test_a_base_may_have_been_exported_with_one(
    learned_since: tuple[Path, Path, Path], own_words: Path, tmp_path: Path
) -> None:
    _, trained, again = learned_since
    out = tmp_path / "out"
    manifest = export_model(trained, out, precision="int4", base=again, calibration=own_words)
    before = Manifest.read(again)
    assert manifest.files == before.files
    assert manifest.check["base"] == before.model_id
    assert before.check["base"].startswith("llama@")
