"""What the reader gives is what the file holds, and files it cannot use are refused."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import synthetic
from dualscape import Result, ResultError

FORMAT_PAGE = Path(__file__).resolve().parents[2] / "inputs" / "FORMAT.md"


def reader_of(result: Result, group: str) -> Any:
    """Return the reader's object for a group of the file."""
    return {"/": result.provenance, "data": result.data, "model/dense1": result.model["dense1"],
            "model/dense2": result.model["dense2"], "training": result.training,
            "loss": result.losses, "spectrum/dense2": result.spectra["dense2"],
            "spectrum/dense2/density": result.spectra["dense2"].density,
            "spectrum/dense2/ntk": result.spectra["dense2"].ntk,
            "duality/dense2": result.dualities["dense2"],
            "duality/dense2/directions": result.dualities["dense2"].directions,
            "duality/dense2/operators/gap": result.dualities["dense2"].operators["gap"],
            "duality/dense2/clusters": result.dualities["dense2"].clusters,
            "duality/dense2/classes": result.dualities["dense2"].classes,
            "duality/dense2/intervals": result.dualities["dense2"].intervals,
            "duality/dense2/pairs": result.dualities["dense2"].pairs}[group]


def rows_of_format_page() -> list[list[str]]:
    """Return the rows of the tables in inputs/FORMAT.md, the names without their marks."""
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in FORMAT_PAGE.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")]


def entries_of_format_page() -> set[str]:
    """Return the datasets and attributes of a result file in inputs/FORMAT.md, with true names."""
    names = {row[0] for row in rows_of_format_page()
             if not row[-1].startswith(("a checkpoint", "a study"))}
    return {name.replace("<layer>", "dense2").replace("<block>", "dense2")
            .replace("<operator>", "gap") for name in names
            if not name.endswith("/")}


class TestContents:
    def test_every_dataset_is_given_as_written(self, contents: synthetic.Contents,
                                               result: Result) -> None:
        arrays = {name: value for name, value in contents.datasets.items()
                  if isinstance(value, np.ndarray)}
        assert len(arrays) > 25
        for name, written in arrays.items():
            group, _, member = name.rpartition("/")
            read = getattr(reader_of(result, group), member)
            np.testing.assert_array_equal(read, written, err_msg=name)

    def test_every_attribute_is_given_as_written(self, contents: synthetic.Contents,
                                                 result: Result) -> None:
        for (group, name), written in contents.attributes.items():
            if (group, name) in {("/", "filetype"), ("/", "version")}:
                continue
            read = getattr(reader_of(result, group), name)
            np.testing.assert_array_equal(read, written, err_msg=f"{group}@{name}")
            if not isinstance(written, np.ndarray):
                assert type(read) is type(written), f"{group}@{name}"

    def test_the_reader_knows_every_entry_of_the_format(
            self, contents: synthetic.Contents) -> None:
        """With the two tests above: what is in these contents is what the reader gives."""
        written = set(contents.datasets)
        written |= {f"{group.strip('/')}@{name}" for group, name in contents.attributes}
        written = {name.replace("dense1", "dense2") for name in written}
        expected = entries_of_format_page()
        assert (expected - written, written - expected) == (set(), set()), (
            "inputs/FORMAT.md has, or lacks, entries against reader.py and synthetic.py")

    def test_texts_and_flags(self, result: Result) -> None:
        assert result.version == (1, 0)
        assert result.deck_original == "seed = 7\n"
        assert result.deck_resolved == 'title = "größer"\nseed = 7\n'
        assert result.data.label_correct.dtype == bool
        assert asdict(result.provenance)["library_versions"] == ["Open MPI 4.1.4", "PETSc 3.18.5"]

    def test_layers_blocks_and_analysed_layers_go_by_name(self, result: Result) -> None:
        assert list(result.model) == ["dense1", "dense2"]
        assert list(result.spectra) == ["dense2"]
        assert list(result.dualities) == ["dense2"]

    def test_eigenvectors_are_read_by_slice(self, contents: synthetic.Contents,
                                            result: Result) -> None:
        vectors = result.spectra["dense2"].eigenvectors
        assert isinstance(vectors, h5py.Dataset)
        written = contents.datasets["spectrum/dense2/eigenvectors"]
        np.testing.assert_array_equal(vectors[3:5], written[3:5])

    def test_unknown_attributes_are_reachable(self, contents: synthetic.Contents,
                                              tmp_path: Path) -> None:
        contents.set_attributes("duality/dense2", brand_new=2.5)
        contents.attributes["/", "version"] = np.array([1, 7])
        with Result(contents.write(tmp_path / "new.h5")) as result:
            duality = result.dualities["dense2"]
            assert duality.attribute("brand_new") == 2.5
            assert duality.attributes["brand_new"] == 2.5
            assert duality.attributes["anchor"] == "test"

    def test_what_is_not_there_is_none_or_empty(self, contents: synthetic.Contents,
                                                tmp_path: Path) -> None:
        del contents.datasets["spectrum/dense2/eigenvectors"]
        del contents.attributes["duality/dense2", "identity_size"]
        del contents.attributes["/", "seconds"]
        contents.remove("training")
        with Result(contents.write(tmp_path / "less.h5")) as result:
            assert result.training is None
            assert result.provenance.seconds is None
            assert result.model["dense2"].bias is None
            assert result.spectra["dense2"].eigenvectors is None
            assert result.dualities["dense2"].identity_size is None
        contents.remove("spectrum")
        contents.remove("duality")
        with Result(contents.write(tmp_path / "least.h5")) as result:
            assert result.spectra == {}
            assert result.dualities == {}

    def test_representations_say_what_is_inside(self, result: Result, path: Path) -> None:
        assert repr(result) == (f"<Result '{path}': 'a synthetic network', spectra dense2, "
                                "dualities dense2>")
        assert repr(result.spectra["dense2"]) == (
            "<Spectrum 'dense2': 30 of 30 eigenpairs of the hessian, all>")
        assert "over 200 pairs" in repr(result.dualities["dense2"])
        assert repr(result.model["dense1"]) == "<Layer 'dense1': 5 x 7 + bias>"
        result.close()
        assert repr(result) == f"<Result '{path}': closed>"


class TestReading:
    def test_arrays_are_read_once_and_not_before_they_are_asked_for(
            self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reads: list[str] = []
        read = h5py.Dataset.__getitem__

        def watched(dataset: h5py.Dataset, *arguments: Any, **options: Any) -> Any:
            reads.append(dataset.name)
            return read(dataset, *arguments, **options)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
        with Result(path) as result:
            repr(result)
            duality = result.dualities["dense2"]
            repr([result.data, result.model, result.training, result.spectra, duality,
                  duality.directions, duality.pairs, result.provenance, result.losses])
            assert reads == []
            first = duality.directions.sigma_g
            assert reads == ["/duality/dense2/directions/sigma_g"]
            assert duality.directions.sigma_g is first
            assert len(reads) == 1

    def test_the_file_is_closed_at_the_end(self, path: Path) -> None:
        with Result(path) as result:
            duality = result.dualities["dense2"]
            kept = duality.directions.contribution
        assert duality.directions.contribution is kept
        with pytest.raises(ResultError, match="is closed: read '/duality/dense2' before closing"):
            duality.matched_gap
        with pytest.raises(ResultError, match="is closed"):
            result.training
        with h5py.File(path, "a"):
            pass

    def test_the_file_is_closed_after_an_error(self, path: Path) -> None:
        with pytest.raises(RuntimeError, match="on purpose"), Result(path):
            raise RuntimeError("on purpose")
        with h5py.File(path, "a"):
            pass

    def test_a_missing_member_is_named(self, contents: synthetic.Contents,
                                       tmp_path: Path) -> None:
        del contents.datasets["duality/dense2/directions/sigma_g"]
        del contents.attributes["duality/dense2", "matched_gap"]
        with Result(contents.write(tmp_path / "partial.h5")) as result:
            duality = result.dualities["dense2"]
            with pytest.raises(ResultError, match="partial.h5' has no "
                                                  "'/duality/dense2/directions/sigma_g'"):
                duality.directions.sigma_g
            with pytest.raises(ResultError, match="has no attribute 'matched_gap' "
                                                  "at '/duality/dense2'"):
                duality.matched_gap

    def test_an_array_that_cannot_be_read_is_named(self, result: Result,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(dataset: h5py.Dataset, *arguments: Any) -> Any:
            raise OSError("Can't read data (file read failed)")

        monkeypatch.setattr(h5py.Dataset, "__getitem__", broken)
        with pytest.raises(ResultError, match="cannot read '/training/loss' of '.*result.h5': it "
                                              "is damaged .Can't read data"):
            result.training.loss


class TestRefusals:
    @staticmethod
    def message(path: Path) -> str:
        with pytest.raises(ResultError) as caught:
            Result(path)
        return str(caught.value)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "nothing.h5"
        assert self.message(path) == (f"cannot read '{path}': No such file or directory; "
                                      "expected a result.h5 that 'dualscape run' wrote")

    def test_a_folder(self, tmp_path: Path) -> None:
        assert f"'{tmp_path}': it is a folder; expected a result.h5" in self.message(tmp_path)

    def test_a_file_that_is_not_hdf5(self, tmp_path: Path) -> None:
        path = tmp_path / "deck.toml"
        path.write_text("seed = 1\n")
        assert f"'{path}': it is no HDF5 file; expected a result.h5" in self.message(path)

    def test_a_truncated_file(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-500])
        message = self.message(path)
        assert f"'{path}': it is damaged" in message
        assert "truncated" in message

    @pytest.mark.parametrize(("filetype", "hint"), [
        ("dualscape-checkpoint", "the run is unfinished: 'dualscape run DECK --resume'"),
        ("dualscape-study", "open it as a Study, or give the result.h5 of one of its runs"),
        ("something", "give a result.h5 that 'dualscape run' wrote")])
    def test_another_type_of_file(self, contents: synthetic.Contents, tmp_path: Path,
                                  filetype: str, hint: str) -> None:
        contents.attributes["/", "filetype"] = filetype
        path = contents.write(tmp_path / "other.h5")
        message = self.message(path)
        assert message.startswith(f"'{path}' has filetype '{filetype}'; "
                                  "expected 'dualscape-result'; ")
        assert hint in message

    def test_a_file_without_a_type(self, tmp_path: Path) -> None:
        path = tmp_path / "data.h5"
        h5py.File(path, "w").close()
        assert "has filetype 'none'" in self.message(path)

    def test_another_major_version(self, contents: synthetic.Contents, tmp_path: Path) -> None:
        contents.attributes["/", "version"] = np.array([2, 3])
        path = contents.write(tmp_path / "later.h5")
        assert self.message(path) == (
            f"'{path}' has layout version 2.3; this package reads 1.x; use the scripts/dualscape "
            "of the dualscape that wrote it, version 0.1.0")

    def test_a_file_without_a_version(self, contents: synthetic.Contents, tmp_path: Path) -> None:
        del contents.attributes["/", "version"]
        assert "has layout version none" in self.message(contents.write(tmp_path / "odd.h5"))

    def test_a_refused_file_is_not_left_open(self, contents: synthetic.Contents,
                                             tmp_path: Path) -> None:
        contents.attributes["/", "filetype"] = "something"
        path = contents.write(tmp_path / "other.h5")
        self.message(path)
        with h5py.File(path, "a"):
            pass
