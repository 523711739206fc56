"""Tiny real models, seeded, built from config: nothing is downloaded."""

import gc
import itertools
import json
import os
import random
import shutil
import signal
import string
import subprocess
import sys
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from typer.main import get_command

from promptlift.improving.constraints import Constraints
from promptlift.improving.decoding.phrase_rule import PhraseTree
from promptlift.improving.improver import Improver
from promptlift.improving.loading import MODEL_VARIABLE, bundled_model_path
from promptlift.improving.manifest import CARD_FILE, MANIFEST_FILE, ModelCard, is_exported
from promptlift.training.config import POCKET_MODES
from promptlift.training.tokenizer import save_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# PyTorch is imported where a model is made: `pytest -n` reads this file before it starts its
# workers, and they would wait for an import that only they need. It reads this when it comes, here
# and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no failure of a property.
settings.register_profile("promptlift", deadline=None)
settings.load_profile("promptlift")


def pytest_collection_finish() -> None:
    """Spare the collector what was imported: a look through it takes most of a second, and Trainer
    asks for one at each end of training."""
    gc.collect()
    gc.freeze()


POCKET = Path(__file__).parent / "data" / "pocket"
# Until its files are final.
NEEDS_BUNDLED = pytest.mark.skipif(
    not is_exported(bundled_model_path()),
    reason="the bundled model's files are not in src/promptlift/models/writer yet",
)
HEADS = ["a cat in armor", "a lighthouse", "bowl of fruit", "two dogs playing chess", "old castle"]
LIKED = ["bushy tail", "paw prints", "pointed ears", "long tails", "red bands", "wet rocks",
         "tall tower", "iron gates"]  # fmt: skip
ENDS = ["soft light", "highly detailed", "sharp focus, 4k", "oil on canvas", "misty morning"]


_HOMES = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def quick_model() -> Iterator[None]:
    """The default model is a T5 of 15 MB, here and in the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_VARIABLE, str(POCKET))
        yield


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the user's home or reaches for the Hub, nor gets signals of another's."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server in the process sets its own
    # Not `mktemp`, which looks through all folders of the tests before: seconds, over a run.
    home = tmp_path_factory.getbasetemp() / f"home-{next(_HOMES)}"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """What hundreds of tests would make anew, and a process of promptlift makes once, is shared.

    That is the tree of unwanted phrases, a tenth of a second for a tiny model that is loaded again,
    and the commands that Typer reads from signatures, half of that.
    """
    trees: dict[Hashable, PhraseTree | None] = {}
    make = Constraints._make_tree

    def make_tree(self: Constraints) -> PhraseTree | None:
        key = (self.tokenizer.to_str(), self.vocab_size, self.control)
        if key not in trees:
            trees[key] = make(self)
        return trees[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Constraints, "_make_tree", make_tree)
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield


def make_t5(folder: Path, *, own_head: bool, seed: int = 0) -> Path:
    """A T5 1.1 (own head, gated) or a T5 (shared head, scaled, ReLU) with random weights."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    texts = [f"{head}, {end}" for head in HEADS for end in ENDS] + list(POCKET_MODES.values())
    tokenizer = train_tokenizer(texts, 340)
    save_tokenizer(tokenizer, folder)
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_decoder_layers=2,  # transformers 5 generates only where both counts are equal
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu" if own_head else "relu",
        tie_word_embeddings=not own_head,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    for name, weight in model.named_parameters():
        if "norm" in name or "relative" in name:  # their start, 1 and 0, would hide mistakes
            weight.data += 0.5 * torch.randn_like(weight)
    if own_head:
        # transformers 5 always makes the head out of the embedding. Files of T5 1.1 and FLAN-T5
        # hold a head of its own, and loading them keeps it.
        model.lm_head.weight = torch.nn.Parameter(0.3 * torch.randn_like(model.shared.weight))
    model.save_pretrained(str(folder))
    ModelCard(name=folder.name, modes=POCKET_MODES, licence="Apache-2.0").write(folder)
    return folder


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, scaled head, as in the first T5."""
    return make_t5(tmp_path_factory.mktemp("models") / "t5", own_head=False)


def make_llama(
    folder: Path, *, own_head: bool = False, heads: int = 4, key_heads: int = 2,
    head_dim: int = 16, seed: int = 0,
) -> Path:  # fmt: skip
    """A small Llama with random weights and a byte-level BPE, without a padding token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    texts = [f"{mode}{head}, {end}" for mode in POCKET_MODES.values() for head in HEADS
             for end in ENDS]  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<|endoftext|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|end|>"
    ).save_pretrained(str(folder))
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=backend.get_vocab_size(),
            hidden_size=16 * heads,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=heads,
            num_key_value_heads=key_heads,
            head_dim=head_dim,  # ONNX Runtime rotates multiples of 16
            tie_word_embeddings=not own_head,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    for name, weight in model.named_parameters():
        # Their start, 1 and next to nothing, would hide mistakes.
        weight.data += (0.5 if "norm" in name else 0.15) * torch.randn_like(weight)
    model.save_pretrained(str(folder))
    ModelCard(name=folder.name, modes=POCKET_MODES, licence="Apache-2.0").write(folder)
    return folder


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, width 64, four heads, two of keys, tied head."""
    return make_llama(tmp_path_factory.mktemp("models") / "llama")


def make_bert() -> "tuple[Any, Tokenizer]":
    """A small BERT with random weights, and a tokenizer of word pieces."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = sorted({word for text in [*HEADS, *LIKED, *ENDS] for word in text.split()})
    letters = [*string.ascii_lowercase, *(f"##{one}" for one in string.ascii_lowercase)]
    pieces = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *words])
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=128,
    )
    return BertModel(config), tokenizer


@pytest.fixture(scope="session")
def reranking(
    llama_folder: Path, own_words: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An exported Llama with a reranker that has learned to like `LIKED` and nothing else."""
    from benchmarks.writer.reranker import Judged, Network, learn, put_into
    from promptlift.export.export import export_model

    folder = tmp_path_factory.mktemp("reranking") / "export"
    export_model(llama_folder, folder, calibration=own_words)
    body, tokenizer = make_bert()
    draw = random.Random(0)
    rows = []
    for _ in range(600):
        noise = ["".join(draw.choices(string.ascii_lowercase + " ", k=9)) for _ in range(4)]
        phrases = [*draw.sample(LIKED, 4), *draw.sample(ENDS, 2), *noise]
        rows.append(Judged(draw.choice(HEADS), phrases, "ggggbbbbbb"))
    network = Network(body)
    learn(network, tokenizer, rows, rate=3e-3)
    put_into(folder, network, tokenizer)
    return folder


@pytest.fixture(scope="session")
def paper_folder(t5_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny T5 as the paper has it: without a card, so that it only rewrites."""
    folder = shutil.copytree(t5_folder, tmp_path_factory.mktemp("paper") / "paper")
    (folder / CARD_FILE).unlink()
    return folder


@pytest.fixture(scope="session")
def t5v11_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Own, unscaled head, as in T5 1.1 and FLAN-T5."""
    return make_t5(tmp_path_factory.mktemp("models") / "t5v11", own_head=True)


@pytest.fixture(scope="session", params=["t5", "t5v11"])
def either_t5(request: pytest.FixtureRequest, t5_folder: Path, t5v11_folder: Path) -> Path:
    return t5_folder if request.param == "t5" else t5v11_folder


@pytest.fixture(scope="session")
def own_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs that any model of this shape finds equally unlikely: the loss is then robust.

    Also far shorter than the packaged ones, so that an export is compared in no time.
    """
    path = tmp_path_factory.mktemp("pairs") / "calibration.jsonl"
    rows = [{"source": head, "target": end} for head in HEADS for end in ENDS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def exported(t5v11_folder: Path, own_words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 export. Random weights quantize badly, so its check is given room."""
    from promptlift.export.export import export_model

    folder = tmp_path_factory.mktemp("exported") / "tiny"
    export_model(t5v11_folder, folder, calibration=own_words)
    return folder


@pytest.fixture(scope="session")
def exported_fp32(
    t5v11_folder: Path, own_words: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    from promptlift.export.export import export_model

    folder = tmp_path_factory.mktemp("exported") / "fp32"
    export_model(t5v11_folder, folder, precision="fp32", calibration=own_words)
    return folder


@pytest.fixture(scope="session")
def writer_folder(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a card that has both forms."""
    return with_forms(exported, tmp_path_factory.mktemp("writer") / "writer")


def with_forms(
    exported: Path, folder: Path, forms: Collection[str] = ("tags", "paragraph")
) -> Path:
    """A copy of an exported folder whose card has these forms."""
    shutil.copytree(exported, folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    prefixes = {"tags": "", "paragraph": "in prose: "}
    manifest["card"]["forms"] = {form: prefixes[form] for form in forms}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest), "utf-8")
    return folder


@pytest.fixture
def improver(exported: Path) -> Iterator[Improver]:
    yield Improver.load(exported, threads=1)


@pytest.fixture(scope="session")
def bundled() -> Improver:
    """The model that stands in for the bundled one: what it writes is English."""
    return Improver.load()


@contextmanager
def another_process(folder: Path, done: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own that works in a run folder; killed, unless it was before."""
    code = (
        "import sys, time; from pathlib import Path; from promptlift.runs import Run\n"
        "with Run.open(Path(sys.argv[1])).alone(sys.argv[2]):\n"
        "    print('ready', flush=True); sys.stdin.read()"
    )
    line = [sys.executable, "-c", code, str(folder), done]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A run of four prompts, two seeds, an original and an improved picture each."""
    from tests.scoring.clip_models import draw_run  # diffusers is slow to import

    return draw_run(tmp_path / "run")


@pytest.fixture
def copy_of(tmp_path: Path) -> "CopyOf":
    return CopyOf(tmp_path)


class CopyOf:
    """Copies a folder so that a test may damage it."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path

    def __call__(self, folder: Path) -> Path:
        return Path(shutil.copytree(folder, self.tmp_path / folder.name))
