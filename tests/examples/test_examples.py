"""What stands in examples/ does what it says, run as its reader would run it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.examples.tutor_model import BROKEN, CODE, QUIZ
from tests.llm.test_local import cache
from tests.support.databases import new_database
from tests.support.environments import python_of
from tests.support.program import environ
from tests.support.server import Server, serve

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"
NOTEBOOK = EXAMPLES / "walkthrough.ipynb"
PATH = re.compile(r"(?<![\w.])/(?!mnt/data)\w+/\w+")  # of whichever machine the notebook was made on
SECONDS = 900.0  # until a walk hangs: the small local model may share the machine with the rest of the tests
STEPS = [
    "1. An assistant, a thread, a message",
    "2. A run, and waiting for it",
    "3. The messages, and a follow-up",
    "4. Three runs at once",
    "5. The code interpreter, and the steps of a run",
    "6. ",
    "7. A function of ours: a quiz",
    "8. Cleaning up",
]
WITHOUT_IPYTHON = "def display(thing): assert thing\ndef Image(data, width): return data.startswith(b'\\x89PNG')\n"

# Those that share a server share one worker of pytest-xdist.
shared = pytest.mark.xdist_group("examples")


@pytest.fixture(scope="module")
def tutor_model() -> Iterator[str]:
    """The address of a model that knows when to call which tool."""
    command = [sys.executable, "-m", "tests.examples.tutor_model"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def served(postgres: str, folder: Path, **settings: Any) -> Iterator[Server]:
    with new_database(postgres) as database, serve(folder, database_url=database, **settings) as server:
        yield server


@pytest.fixture(scope="module")
def server(postgres: str, tutor_model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(postgres, tmp_path_factory.mktemp("examples"), model_base_url=tutor_model) as running:
        yield running


def run(*command: Any, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=EXAMPLES,
        env=environ() | {"OPENAI_BASE_URL": url, **variables},
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )


def headings(output: str) -> list[str]:
    lines = output.splitlines()
    return [above for above, line in pairwise(lines) if line and line == "=" * len(above)]


def assert_all_went_well(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    said = headings(done.stdout)
    assert len(said) == len(STEPS)
    assert all(heading.startswith(step) for heading, step in zip(said, STEPS, strict=True)), said
    assert done.stdout.endswith("\nAll went well.\n")


@shared
@pytest.mark.parametrize("walk", ["walkthrough.py", "walkthrough_v1.py"])
def test_a_walk_with_a_model_that_knows_its_tools(walk: str, server: Server) -> None:
    is_v1 = walk == "walkthrough_v1.py"
    done = run(python_of("openai-1.2.3") if is_v1 else sys.executable, walk, "--model", "tutor", url=server.url)
    assert_all_went_well(done)
    said = done.stdout
    assert f"    {CODE}\n\nwhich gave:\n\n    [1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144]\n" in said
    assert "which drew a picture of " in said
    assert 'small-language-models.pdf】 cites: "' in said
    assert f"Quiz: {QUIZ['title']}\n" in said
    assert "The outputs are in, and the run is queued.\n" in said
    assert 'assistant: RESULT: ["I do not know.", "9"]\n' in said  # what the quiz gave has reached the model
    if is_v1:
        assert '"file_ids": [\n    "file-' in said
        assert '"type": "retrieval"' in said
        assert "tool_resources" not in said


@pytest.mark.long
@pytest.mark.xdist_group("local-model")  # one process loads it, not every worker
def test_a_walk_with_the_local_model(postgres: str, tmp_path: Path) -> None:
    models = cache() / "models"  # fetched once for all test runs
    models.mkdir(parents=True, exist_ok=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(models.absolute())
    with served(postgres, tmp_path, model_base_url="") as server:
        done = run(sys.executable, "walkthrough.py", url=server.url)
    assert_all_went_well(done)
    assert "A step ran this code:" in done.stdout
    assert "Found in small-language-models.pdf, score " in done.stdout
    assert "Quiz: " in done.stdout


def test_a_walk_without_a_server() -> None:
    with socket.socket() as taken:  # bound, and nothing listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        done = run(sys.executable, "walkthrough.py", url=url)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith(f"No server answers at {url}. Start one with `make serve`")


@shared
def test_a_walk_whose_run_fails(server: Server) -> None:
    done = run(sys.executable, "walkthrough.py", "--model", BROKEN, url=server.url)
    assert (done.returncode, done.stderr) == (1, "")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("The walk ended here. A run is failed: ")
    assert last.endswith("This model is broken.")


def test_a_walk_without_a_sandbox(postgres: str, tutor_model: str, tmp_path: Path) -> None:
    with served(postgres, tmp_path, model_base_url=tutor_model, sandbox="off") as server:
        done = run(sys.executable, "walkthrough.py", "--model", "tutor", url=server.url)
    assert (done.returncode, done.stderr) == (1, "")
    assert headings(done.stdout)[-1] == STEPS[-1]  # the rest is walked all the same
    assert done.stdout.splitlines()[-1].startswith("The walk ended here. No code was run: the server has no sandbox.")


def texts(output: dict[str, Any]) -> Iterator[str]:
    yield "".join(output.get("text", ""))
    yield from ("".join(data) for kind, data in output.get("data", {}).items() if kind.startswith("text/"))


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_bytes())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_opens_with_its_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_bytes())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"] == {"display_name": "Python 3", "language": "python", "name": "python3"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        wanted = {"id", "cell_type", "metadata", "source"}
        assert set(cell) == wanted | ({"outputs", "execution_count"} if cell["cell_type"] == "code" else set())
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result", "display_data"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    shown = "\n".join(text for output in outputs for text in texts(output))
    assert "assistant: " in shown
    assert not PATH.findall(shown)
    for private in ("127.0.0.1", "localhost", "site-packages", "Warning"):
        assert private not in shown
    assert NOTEBOOK.stat().st_size < 100_000


@shared
def test_the_notebook_runs_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "IPython").mkdir()
    (tmp_path / "IPython" / "display.py").write_text(WITHOUT_IPYTHON, "utf-8")
    program = "\n".join("".join(cell["source"]) for cell in code_cells())
    done = run(sys.executable, "-c", program, url=server.url, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Quiz: {QUIZ['title']}\n" in done.stdout


def test_the_paper_is_what_its_program_writes(tmp_path: Path) -> None:
    (tmp_path / "make_paper.py").write_bytes((EXAMPLES / "data" / "make_paper.py").read_bytes())
    subprocess.run([sys.executable, tmp_path / "make_paper.py"], check=True, timeout=60)
    name = "small-language-models.pdf"
    assert (tmp_path / name).read_bytes() == (EXAMPLES / "data" / name).read_bytes()
