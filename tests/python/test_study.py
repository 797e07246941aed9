"""What the study's reader gives is what the file holds; its means are those of the done runs."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
import synthetic_study
from dualscape import Result, ResultError, Study, Table
from synthetic_study import BATCH, LOSS, REASON
from test_reader import rows_of_format_page

GAP = "duality/dense2/matched_gap"


class TestStudy:
    def test_gives_what_is_written(self, tmp_path: Path) -> None:
        contents = synthetic_study.study({BATCH: [25, 100], LOSS: ["mse", "größer"]}, failed=(4,))
        with Study(contents.write(tmp_path / "study.h5")) as study:
            assert (study.title, study.mode, study.repeats) == (
                'a study of <batches> & "quotes"', "grid", 3)
            assert study.keys == [BATCH, LOSS]
            assert {key: values.tolist() for key, values in study.axes.items()} == {
                BATCH: [25, 100], LOSS: ["mse", "größer"]}
            assert study.parameters[LOSS].tolist() == 2 * (["mse"] * 3 + ["größer"] * 3)
            assert study.runs["reason"].tolist() == [""] * 4 + [REASON] + [""] * 7
            assert study.provenance.seed == 7 and study.deck_original.startswith("title = ")
            assert study.layers == study.blocks == ["dense2"]
            for name, values in contents.datasets.items():
                kind, _, inner = name.partition("/")
                if kind in {"scalars", "arrays"}:
                    read = study.scalar(inner) if kind == "scalars" else study.stacked(inner)
                    np.testing.assert_array_equal(read, values)
                    assert inner in (study.scalars if kind == "scalars" else study.arrays)
                elif kind == "runs" and not inner.startswith("parameters"):
                    assert study.runs[inner].tolist() == list(values)
            assert np.isnan(study.scalar(GAP)[4]) and np.isfinite(study.scalar(GAP)[5])
            assert study.scalar(GAP) is study.scalar(GAP)
            assert study.table.rows == 12
            np.testing.assert_array_equal(study.table[GAP], study.scalar(GAP))
            assert repr(study) == (
                f"<Study '{study.path}': 'a study of <batches> & \"quotes\"', runs: 11 done, "
                "1 failed, axes training.batch_size, network.loss>")

    def test_the_contents_are_those_of_the_format(self) -> None:
        """With the test above: the reader gives every entry of a study that the format has."""
        documented = {row[0] for row in rows_of_format_page() if row[-1].startswith("a study")}
        assert len(documented) > 15
        contents = synthetic_study.study()
        written = set(contents.datasets) | {f"{group}@{name}"
                                            for group, name in contents.attributes}
        written = {name.replace(BATCH, "<key>") for name in written}
        # What was computed in a run is documented with the result file.
        missing = {name for name in documented - written if not name.endswith("/")}
        assert missing == {"scalars/training/epochs"}

    def test_refuses_other_files(self, tmp_path: Path) -> None:
        result = synthetic.result().write(tmp_path / "result.h5")
        with pytest.raises(ResultError, match="filetype 'dualscape-result'; expected 'dualscape-"
                                              "study'; it holds a single run: open it as a Result"):
            Study(result)
        contents = synthetic_study.study()
        with pytest.raises(ResultError, match="it holds a whole study: open it as a Study"):
            Result(contents.write(tmp_path / "study.h5"))
        contents.attributes["/", "version"] = np.array([2, 0])
        with pytest.raises(ResultError, match="layout version 2.0; this package reads 1.x"):
            Study(contents.write(tmp_path / "later.h5"))
        with pytest.raises(ResultError, match="No such file or directory; expected a study.h5"):
            Study(tmp_path / "nothing.h5")


class TestGroups:
    def test_statistics_leave_out_and_count_the_failed(self, tmp_path: Path) -> None:
        contents = synthetic_study.study(failed=(1, 3, 4), waiting=(9, 10, 11))
        values = 10.0 ** np.arange(12)
        values[[1, 3, 4, 9, 10, 11]] = np.nan
        contents.datasets["scalars/loss/test_loss"] = values
        with Study(contents.write(tmp_path / "study.h5")) as study:
            groups = study.groups()
            found = groups.statistics(study.scalar("loss/test_loss"))
        assert groups.values[BATCH].tolist() == [25, 100, 200, 400]
        assert groups.done.tolist() == [2, 1, 3, 0] and groups.left_out.tolist() == [1, 2, 0, 3]
        assert found.count.tolist() == [2, 1, 3, 0]
        np.testing.assert_allclose(found.mean, [50.5, 1e5, (1e6 + 1e7 + 1e8) / 3, np.nan])
        np.testing.assert_allclose(found.deviation, [99 / np.sqrt(2), np.nan,
                                                     np.std([1e6, 1e7, 1e8], ddof=1), np.nan])
        np.testing.assert_allclose(found.error, found.deviation / np.sqrt([2, 1, 3, 1]))

    def test_a_number_in_a_run_that_is_not_done_does_not_count(self, tmp_path: Path) -> None:
        contents = synthetic_study.study(failed=(0,))
        contents.datasets["scalars/loss/test_loss"] = np.array([1e9] + [2.0] * 11)
        with Study(contents.write(tmp_path / "study.h5")) as study:
            assert study.groups().statistics(study.scalar("loss/test_loss")).mean[0] == 2.0

    def test_by_some_axes_or_none(self, tmp_path: Path) -> None:
        contents = synthetic_study.study({BATCH: [25, 100], LOSS: ["mse", "ce"]}, failed=())
        with Study(contents.write(tmp_path / "study.h5")) as study:
            by_loss, all_runs = study.groups([LOSS]), study.groups([])
            values = study.scalar(GAP)
        assert by_loss.values[LOSS].tolist() == ["mse", "ce"]
        np.testing.assert_allclose(by_loss.statistics(values).mean,
                                   [values[[0, 1, 2, 6, 7, 8]].mean(),
                                    values[[3, 4, 5, 9, 10, 11]].mean()])
        assert len(all_runs) == 1 and all_runs.done.tolist() == [12]
        assert all_runs.statistics(values).mean == pytest.approx(values.mean())

    def test_curves_of_different_lengths(self, tmp_path: Path) -> None:
        with Study(synthetic_study.study().write(tmp_path / "study.h5")) as study:
            curves = study.stacked("duality/dense2/directions/sigma_g")
            found = study.groups().statistics(curves)
        assert found.mean.shape == (4, 12)
        np.testing.assert_allclose(found.mean[1], np.nanmean(curves[3:6], axis=0))
        assert found.count[1].tolist() == [3] * 9 + [1] * 3
        assert np.isnan(found.deviation[1, 9:]).all()


class TestTable:
    def test_csv_gives_back_every_digit_and_text(self) -> None:
        texts = ["plain", 'with "quotes", and comma', "two\nlines"]
        numbers = [0.1, np.nan, -1e-300]
        target = io.StringIO()
        Table({"text": texts, "x": numbers, "n": [1, 2, 3]}, {"x": "loss"}).write_csv(target)
        rows = list(csv.reader(io.StringIO(target.getvalue())))
        assert rows[0] == ["text", "x [loss]", "n"]
        assert [row[0] for row in rows[1:]] == texts
        assert [row[1] for row in rows[1:]] == ["0.1", "", "-1e-300"]
        assert [row[2] for row in rows[1:]] == ["1", "2", "3"]

    def test_selection_and_refusal(self) -> None:
        table = Table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
        assert table.select([True, False, True])["b"].tolist() == ["x", "z"]
        assert table.rows == 3 and list(table) == ["a", "b"]
        with pytest.raises(ValueError, match="one length"):
            Table({"a": [1, 2], "b": [1]})

    def test_pandas_is_only_needed_for_pandas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="needs pandas, which is not installed"):
            Table({"a": [1]}).to_pandas()
