"""ComfyUI itself runs the node; see `comfyui_host.py`."""

import json
import re
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from promptlift.improving.improver import Improver
from tests.integrations.comfyui_host import NEEDS_IT, Host, base_folder, free_port, running
from tests.integrations.test_comfyui import FOLDER

pytestmark = [pytest.mark.slow, NEEDS_IT]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    base = base_folder(tmp_path_factory.mktemp("comfyui"), FOLDER)
    with running(base, free_port()) as found:
        yield found


def graph(**inputs: Any) -> dict[str, Any]:
    given = {
        "prompt": "a cat in armor", "seed": 7, "mode": "extend", "artists": 1.0, "styles": 1.0,
        "length": "any", "max_prompt_tokens": 75, "variant": 0, "form": "any",
        "picture_model": "sdxl",
    }  # fmt: skip
    return {
        "1": {"class_type": "PromptliftImprove", "inputs": given | inputs},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    }


def shown(record: dict[str, Any], node: str) -> str:
    assert record["status"]["status_str"] == "success", record
    [text] = record["outputs"][node]["text"]
    assert isinstance(text, str)
    return text


def test_the_node_gives_what_the_improver_gives(host: Host, bundled: Improver) -> None:
    record = host.run(graph(variant=2, length="long"))
    *_, expected = bundled.improve("a cat in armor", seed=7, n=3, length="long")
    assert shown(record, "2") == expected.prompt
    assert json.loads(shown(record, "3"))["source"] == "a cat in armor"


def test_a_seed_of_comfyuis_size_is_taken_and_results_are_kept(
    host: Host, bundled: Improver
) -> None:
    most = 2**64 - 1
    expected = bundled.improve("a cat in armor", seed=most)[0].prompt
    assert shown(host.run(graph(seed=most)), "2") == expected
    again = host.run(graph(seed=most))
    cached = dict(again["status"]["messages"])["execution_cached"]
    assert "1" in cached["nodes"]
    assert shown(host.run(graph(prompt=" ")), "2") == " "


def test_comfyui_refuses_what_the_node_does_not_offer(host: Host) -> None:
    for wrong in ({"max_prompt_tokens": 0}, {"mode": "sing"}, {"artists": 2.0}, {"seed": -1}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            host.run(graph(**wrong))
        [name] = wrong
        assert refused.value.code == 400 and name in refused.value.read().decode()


def test_the_example_of_the_docs_runs(host: Host, bundled: Improver) -> None:
    page = (FOLDER.parents[1] / "docs" / "tools.md").read_text("utf-8")
    [code] = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "queue" in block
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    number = names["queue"]("a cat in armor", 7, host.address)
    assert shown(host.record(number), "2") == bundled.improve("a cat in armor", seed=7)[0].prompt
    [body] = re.findall(r"8188/prompt .*? -d .(\{.*?)'\n", page, re.DOTALL)
    shown_graph = json.loads(body)["prompt"]
    assert shown_graph == {name: graph()[name] for name in ("1", "2")}
