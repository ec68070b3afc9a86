"""The frame of the experiments.

Found by existing, run with other parameters, written whole, and a page that is made of the numbers.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import fastip
from fastip import experiments
from fastip.cli import app
from fastip.errors import FastipError, InvalidInput
from fastip.experiments import record
from fastip.experiments.markdown import shown, table

SAMPLE = """
import torch
from fastip.experiments import Experiment, Outcome, drawing

def run(report=None, *, size=64, weights=(1.0, 2.0), name="plain", broken=0):
    for i in range(size):
        report("counting", i, size)
    figure = drawing.sheet(2, 2)
    numbers = {"square": size**2, "weights": weights, "name": name, "tensor": torch.eye(2), "lost": float("inf")}
    if broken == 1:
        raise RuntimeError("no result")
    if broken == 2:
        numbers["bad"] = object()
    if broken == 3:
        figure.savefig = None
    return Outcome(numbers, figure)

def page(numbers):
    return f"The square is {numbers['square']}, the lost one {numbers['lost']}, the tensor {numbers['tensor']}."

EXPERIMENT = Experiment("squares", run, page)
"""


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """An experiment called ``sample_of_frame``, and a module beside it that is none."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "sample_of_frame.py").write_text(SAMPLE)
    (folder / "drawers_of_frame.py").write_text("")
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(folder)])
    return "sample_of_frame"


def fastip_command(*words):
    return CliRunner().invoke(app.app, [str(w) for w in words])


def test_an_experiment_is_found_by_existing(sample):
    assert (
        sample in experiments.names()
        and "drawers_of_frame" not in experiments.names()
        and "record" not in experiments.names()
    )
    assert experiments.find(sample).parameters() == {"size": 64, "weights": (1.0, 2.0), "name": "plain", "broken": 0}
    with pytest.raises(InvalidInput, match=f"there is no experiment 'sample_of_fram': did you mean '{sample}'"):
        experiments.find("sample_of_fram")
    for wrong in ("drawers_of_frame", "record", "../kernel", "", "os"):
        with pytest.raises(InvalidInput, match="there is no experiment"):
            experiments.find(wrong)


def test_a_dash_stands_for_an_underscore(sample, tmp_path):
    """However the name is written, the experiment, its files and the command on its page are the same."""
    dashed = "sample-of-frame"
    assert dashed not in experiments.names() and experiments.find(dashed).summary == "squares"
    page = experiments.perform(dashed, tmp_path / "dashes", parameters={"size": 3})
    assert sorted(p.name for p in page.parent.iterdir()) == [f"{sample}.json", f"{sample}.md", f"{sample}.png"]
    found = json.loads(page.with_suffix(".json").read_text())
    assert found["experiment"] == sample and found["command"] == f"fastip experiment {sample} --set size=3"
    assert dashed not in page.read_text()
    with pytest.raises(InvalidInput, match=f"there is no experiment 'sample-of-fram': did you mean '{sample}'"):
        experiments.find("sample-of-fram")
    done = fastip_command("experiment", dashed, "--set", "size=4", "-o", tmp_path / "command")
    assert done.exit_code == 0 and (tmp_path / "command" / f"{sample}.md").exists(), done.output


def test_the_record_holds_what_repeats_it(sample, tmp_path):
    calls = []
    page = experiments.perform(
        sample,
        tmp_path / "new" / "out",
        parameters={"size": "3", "weights": "0.5,4"},
        report=lambda *a: calls.append(a),
    )
    assert page == tmp_path / "new" / "out" / f"{sample}.md"
    assert sorted(p.name for p in page.parent.iterdir()) == [f"{sample}.json", f"{sample}.md", f"{sample}.png"]
    found = json.loads(page.with_suffix(".json").read_text())
    assert found["numbers"] == {
        "square": 9,
        "weights": [0.5, 4.0],
        "name": "plain",
        "tensor": [[1, 0], [0, 1]],
        "lost": None,
    }
    assert found["parameters"] == {"size": 3, "weights": [0.5, 4.0], "name": "plain", "broken": 0}
    assert found["command"] == f"fastip experiment {sample} --set size=3 --set weights=0.5,4.0"
    assert found["versions"]["fastip"] == fastip.__version__ and found["versions"]["torch"] == torch.__version__
    assert found["machine"]["threads"] == torch.get_num_threads() and found["machine"]["cpu"] and found["seconds"] >= 0
    assert calls == [("counting", i, 3) for i in range(3)]
    assert Image.open(page.with_suffix(".png")).size == (220, 220)
    text = page.read_text()
    assert text.startswith(
        f"# {sample}: squares\n\n![{sample}]({sample}.png)\n\n"
        "The square is 9, the lost one None, the tensor [[1.0, 0.0], [0.0, 1.0]]."
    )
    assert f"`{found['command']}`" in text and found["date"] in text and found["machine"]["cpu"] in text


def test_other_programs_are_told():
    found = {"cpu": "AMD EPYC", "cores": 2, "threads": 1, "gpu": None}
    assert record.place(found) == record.place(found | {"load": 1.4}) == "AMD EPYC, 1 of 2 cores"
    busy = record.place(found | {"load": 6.3, "gpu": "H200"})
    assert busy == "AMD EPYC, 1 of 2 cores, H200, beside other programs (load 6.3)"
    assert record.machine()["load"] >= 0


def test_the_page_is_made_of_the_numbers_alone(sample, tmp_path):
    page = experiments.perform(sample, tmp_path, parameters={"size": 5})
    again = record.page_of(sample, experiments.find(sample), json.loads((tmp_path / f"{sample}.json").read_text()))
    assert again == page.read_text() and "is 25" in again


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_failed_run_leaves_the_old_files_as_they_were(sample, tmp_path, broken):
    experiments.perform(sample, tmp_path, parameters={"size": 2})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    with pytest.raises(
        (RuntimeError, InvalidInput, TypeError), match="no result|object cannot be written as JSON|not callable"
    ):
        experiments.perform(sample, tmp_path, parameters={"size": 4, "broken": broken})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_wrong_parameters_and_folders_are_refused_before_any_work(sample, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("work was done")

    for parameters, message in [
        ({"sise": 3}, "has no parameter 'sise': did you mean 'size'"),
        ({"colour": 3}, "it has size, weights, name, broken"),
        ({"size": "large"}, "size is 'large'; expected a value such as the default, 64"),
        ({"size": "3.5"}, "size is '3.5'"),
        ({"weights": "1,x"}, "weights is '1,x'; expected a value such as the default, 1.0,2.0"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            experiments.perform(sample, tmp_path / "out", parameters=parameters, report=never)
        assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInput, match="cannot be made"):
            experiments.perform(sample, folder, report=never)


def test_plain_is_what_json_can_hold():
    given = {
        1: (np.float32(0.5), np.int64(3)),
        "t": torch.tensor([1.5, math.nan], dtype=torch.float32),
        "b": np.bool_(True),
        "n": None,
        "s": torch.Size([2, 3]),
    }
    assert record.plain(given) == {"1": [0.5, 3], "t": [1.5, None], "b": True, "n": None, "s": [2, 3]}
    assert record.plain(torch.tensor(1e-3)) == pytest.approx(1e-3) and record.plain(torch.arange(2)) == [0, 1]
    with pytest.raises(InvalidInput, match="set cannot be written"):
        record.plain({"a": {1}})


def test_markdown():
    assert [shown(v) for v in (1234567, 0.000123456, 2.0, None, "a", True, 1e-9)] == [
        "1234567",
        "0.000123",
        "2",
        "not finite",
        "a",
        "True",
        "1e-09",
    ]
    assert table(["a", "b"], [["x", 0.5], ["y", None]]) == "| a | b |\n| :--- | ---: |\n| x | 0.5 |\n| y | not finite |"


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_lists_runs_and_refuses(sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    listed = fastip_command("experiment")
    assert (
        listed.exit_code == 0 and sample in listed.output and "squares" in listed.output and "size=64" in listed.output
    )
    done = fastip_command("experiment", sample, "--set", "size=4")
    assert done.exit_code == 0 and f"experiments/{sample}.md" in done.output
    assert "is 16" in (tmp_path / "experiments" / f"{sample}.md").read_text()
    for words, message in [
        (["sample_of_fram"], f"did you mean '{sample}'"),
        ([sample, "--set", "size"], "expected KEY=VALUE"),
        ([sample, "-s", "size=x"], "expected a value such as the default"),
        ([sample, "-o", tmp_path / "experiments" / f"{sample}.md"], "cannot be made"),
    ]:
        refused = fastip_command("experiment", *words)
        assert refused.exit_code == 2 and message in refused.output.replace("\n", " "), refused.output


@pytest.mark.parametrize("name", experiments.names())
def test_every_experiment_can_be_described(name):
    """A summary in one line, and every parameter has a default that a text can replace."""
    experiment = experiments.find(name)
    assert experiment.summary and "\n" not in experiment.summary and not experiment.summary.endswith(".")
    parameters = experiment.parameters()
    assert all(
        isinstance(value, (int, float, str, tuple)) and not isinstance(value, bool) for value in parameters.values()
    )
    texts = {key: record._text(value) for key, value in parameters.items()}
    assert record._parse(name, parameters, texts) == parameters
    with pytest.raises(FastipError, match="has no parameter"):
        record._parse(name, parameters, {"nothing": 1})
