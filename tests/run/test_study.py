"""A study is its runs: numbered, each in its folder, whoever takes which, and collected in one file."""

from __future__ import annotations

import re
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pytest
import results
import studies
from decks import write_data, write_deck
from program import Program, check_failure, check_success


@pytest.fixture
def small(program: Program) -> Program:
    """Return the program in a folder with the same study, not yet run."""
    studies.prepare(program.folder, studies.SMALL)
    return program


def test_collects_one_row_a_run(expected: Path) -> None:
    study = results.read(expected / "study.h5")
    assert study["@filetype"] == "dualscape-study"
    assert list(study["@version"]) == [1, 0]
    assert list(study["axes/keys"]) == [b"training.batch_size"]
    assert (study["axes@mode"], study["axes@repeats"]) == ("grid", 3)
    assert list(study["axes/values/training.batch_size"]) == [20, 40]
    assert list(study["runs/number"]) == list(range(6))
    assert list(study["runs/point"]) == [0, 0, 0, 1, 1, 1]
    assert list(study["runs/repeat"]) == [0, 1, 2, 0, 1, 2]
    assert list(study["runs/parameters/training.batch_size"]) == [20, 20, 20, 40, 40, 40]
    assert list(study["runs/status"]) == [b"done"] * 6
    assert list(study["runs/reason"]) == [b""] * 6
    assert list(study["runs/ranks"]) == [1] * 6
    assert study["@seconds"] == pytest.approx(np.sum(study["runs/seconds"]))
    page = {path.replace("<key>", "training.batch_size"): units for path, units, condition
            in results.format_page() if condition.startswith("a study")}
    told = {key for key in study if key.startswith(("axes", "runs")) and not key.endswith(("@units", "@description"))}
    assert told == {path for path in page if path.startswith(("axes", "runs"))}


def test_holds_every_number_of_every_result(expected: Path) -> None:
    study = results.read(expected / "study.h5")
    scalars = {key for key in study if key.startswith("scalars/") and "@" not in key and not key.endswith("/")}
    arrays = {key for key in study if key.startswith("arrays/") and "@" not in key and not key.endswith("/")}
    for row, folder in enumerate(study["runs/folder"]):
        result = results.read(expected / folder.decode() / "result.h5")
        assert result["@seed"] == study["runs/seed"][row]
        found = {}
        for key, value in result.items():
            group, _, name = key.rpartition("@")
            if group.startswith(("loss", "spectrum", "duality")) and name not in {"units", "description"} \
                    and np.issubdtype(np.asarray(value).dtype, np.number) and np.ndim(value) == 0:
                found[f"scalars/{group}/{name}"] = value
        found["scalars/training/epochs"] = result["training/epoch"][-1]
        assert set(found) == scalars
        for key, value in found.items():
            assert study[key][row] == value, key
        for key in arrays:
            value = result[key.removeprefix("arrays/")]
            np.testing.assert_array_equal(study[key][row][:len(value)], value, err_msg=key)
            assert study[key + "@units"] == result[key.removeprefix("arrays/") + "@units"]
    assert "arrays/spectrum/dense2/eigenvalues" in arrays
    assert {"scalars/loss/gap", "scalars/duality/dense2/matched_gap"} <= scalars
    directions = {key for key in result if re.fullmatch(r"duality/dense2/directions/\w+", key)}
    assert {"arrays/" + key for key in directions} <= arrays


def test_is_the_same_on_any_number_of_ranks(expected: Path, small: Program, pool: Executor) -> None:
    outcomes = pool.map(lambda ranks: small("study", "deck.toml", "--output", f"np{ranks}", ranks=ranks), (2, 3))
    for ranks, outcome in zip((2, 3), outcomes):
        check_success(outcome)
        studies.check_same_contents(
            {**studies.numbers(expected / "study.h5"), "deck/resolved": b""},
            {**studies.numbers(small.folder / f"np{ranks}/study.h5"), "deck/resolved": b""})


def test_a_run_of_it_alone_comes_to_the_same(expected: Path, small: Program) -> None:
    small.succeed("run", expected / "runs/00004/deck.resolved", "--output", "alone")
    one = studies.numbers(expected / "runs/00004/result.h5")
    two = studies.numbers(small.folder / "alone/result.h5")
    studies.check_same_contents({**one, "deck/resolved": b""}, {**two, "deck/resolved": b""})


def test_parts_and_choices_make_the_whole(expected: Path, small: Program, pool: Executor) -> None:
    parts = [("--part", "1/2"), ("--part", "2/2")]
    for outcome in pool.map(lambda part: small("study", "deck.toml", "--resume", *part), parts):
        check_success(outcome)
    small.succeed("collect", "out")
    studies.check_same(expected, small.folder / "out")
    said = small.succeed("study", "deck.toml", "--force", "--only", "1,4-5").out
    assert "3 of 3 runs done" in said
    small.fail(2, "study", "deck.toml", "--only", "1", said="'out/runs/00001' holds a run: add --resume")
    small.fail(2, "study", "deck.toml", "--only", "6", said="there is no run 6; the study has 6 runs, from 0")


def test_resumes_what_is_missing_only(expected: Path, small: Program) -> None:
    small.succeed("study", "deck.toml", "--only", "0,3")
    assert studies.states(small) == ["done", "waiting", "waiting", "done", "waiting", "waiting"]
    study = results.read(small.folder / "out/study.h5")
    assert np.isnan(study["scalars/loss/gap"]).tolist() == [False, True, True, False, True, True]
    assert np.isnan(study["arrays/spectrum/dense2/eigenvalues"][1]).all()
    assert set(study["arrays/spectrum/dense2/clusters"][1]) == {-1}
    small.fail(2, "study", "deck.toml", said="directory 'out' holds a study: add --resume")
    assert "4 to do" in small.succeed("study", "deck.toml", "--resume", ranks=2).out
    studies.check_same(expected, small.folder / "out")
    small.fail(2, "study", "deck.toml", "--resume", "--set", "study.repeats=4",
               said="holds a study of a different deck")
    assert studies.states(small) == ["done"] * 6
    small.fail(2, "run", "deck.toml", "--output", "out/runs/00001", said="holds a finished result")


def test_a_failed_run_is_a_row_with_its_reason_and_the_others_go_on(program: Program, ranks: int) -> None:
    # With a rate that large the weights are lost.
    write_deck(program.folder / "deck.toml", **{**studies.SMALL, "study": {"axes": [
        {"key": "training.learning_rate", "values": [0.1, 1e200, 0.2]}]}})
    write_data(program.folder / "data.h5")
    outcome = program("study", "deck.toml", ranks=ranks)
    assert outcome.code == 4, outcome
    assert "1 of the runs failed, the first is run 1 (training.learning_rate = 1e200, repeat 0): " in outcome.err
    assert studies.states(program) == ["done", "failed", "done"]
    study = results.read(program.folder / "out/study.h5")
    assert list(study["runs/status"]) == [b"done", b"failed", b"done"]
    assert b"training diverged" in study["runs/reason"][1]
    assert np.isnan(study["scalars/loss/gap"]).tolist() == [False, True, False]


def test_says_what_is_wrong_before_anything_starts(small: Program) -> None:
    check_failure(small("study", "deck.toml", "--set", "study.ranks_per_run=2"), 2, "needs that many ranks")
    check_failure(small("study", "deck.toml", "--set", "data.path=none.h5"), 3, "none.h5")
    check_failure(small("study", "deck.toml", "--set", "study.axes=[{key = 'spectrum.block', values = ['dense2', "
                        "'dense9']}]"), 2, "at spectrum.block = \"dense9\"")
    check_failure(small("collect", "out"), 3, "'out' holds no study")
    assert not (small.folder / "out").exists()


def test_forecasts_without_doing(small: Program) -> None:
    said = small.succeed("study", "deck.toml", "--dry-run", ranks=2).out
    assert said.startswith("6 runs: 2 points, 3 repeats each\n1 rank a run, 2 runs at a time\nabout ")
    expected, most = (re.search(rf"^{words} (\S+) operations, \S+ in the longest run", said, re.MULTILINE)[1]
                      for words in ("about", "at most"))
    # Without a stopping rule training goes on to the last epoch.
    assert expected == most, said
    said = small.succeed("study", "deck.toml", "--dry-run", "--set", "training.stop_loss=0.5").out
    assert float(re.search(r"about (\S+) operations", said)[1]) < float(most), said
    assert studies.states(small) == ["waiting"] * 6
    assert not (small.folder / "out").exists()


def test_groups_of_ranks_share_a_run(program: Program) -> None:
    studies.prepare(program.folder, {**studies.SMALL, "study": {**studies.SMALL["study"], "ranks_per_run": 2}})
    outcome = program("study", "deck.toml", ranks=3)
    assert outcome.code == 0, outcome
    assert "1 of 3 ranks stay idle" in outcome.err
    assert list(results.read(program.folder / "out/study.h5")["runs/ranks"]) == [2] * 6


STUDIES = Path(__file__).resolve().parents[2] / "inputs" / "studies"


def test_the_studies_that_come_with_it_can_be_planned(program: Program, pool: Executor) -> None:
    names = ["learning_rate", "batch_size", "init_scale", "dropout", "weight_decay", "label_noise", "training_size"]
    assert sorted(path.name for path in STUDIES.iterdir()) == sorted(names)
    lists = pool.map(lambda name: program("study", STUDIES / name / "deck.toml", "--list"), names)
    for name, outcome in zip(names, lists):
        lines = check_success(outcome).out.splitlines()
        assert len(lines) == (50 if name in {"learning_rate", "dropout", "label_noise"} else 40)
        assert (STUDIES / name / "README.md").exists()
    # Exactly 400 correct labels a class at every point of the noisy study.
    for line in program.succeed("study", STUDIES / "label_noise/deck.toml", "--list").out.splitlines():
        count, noise = re.search(r"per_class = (\d+), data.label_noise = ([\d.]+)", line).groups()
        assert int(count) - round(int(count) * float(noise)) == 400
