"""Data, weights and decks that cannot be used: the status, one message, and nothing left behind."""

from __future__ import annotations

import gzip
import re
import resource
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import results
from decks import samples, write_data, write_deck, write_idx
from program import Outcome, Program, check_failure

IDX = {"source": "idx", "path": "idx"}


def edit(dataset: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Return what replaces a dataset of data.h5 by a changed one; by None: takes it out."""
    def damage(folder: Path) -> None:
        with h5py.File(folder / "data.h5", "r+") as file:
            changed = change(file[dataset][()])
            del file[dataset]
            if changed is not None:
                file[dataset] = changed
    return damage


def with_nan(x: Any) -> Any:
    """Return inputs as floats, one of them no number."""
    x = x / 255.0
    x[7, 5] = np.nan
    return x


def both(*damages: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return what does all of these."""
    def damage(folder: Path) -> None:
        for each in damages:
            each(folder)
    return damage


def with_label(label: int) -> Callable[[Any], Any]:
    """Return what gives one sample another label."""
    def change(y: Any) -> Any:
        y[4] = label
        return y
    return change


def idx_bytes(name: str, change: Callable[[bytes], bytes], packed: bool = False) -> Callable[[Path], None]:
    """Return what writes IDX files, the bytes of one of them changed."""
    def damage(folder: Path) -> None:
        path = write_idx(folder / "idx", packed=packed) / name
        path.write_bytes(change(path.read_bytes()))
    return damage


def weights(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    """Return what writes a file of weights with a fault."""
    def damage(folder: Path) -> None:
        shapes = {"dense1": (7, 12), "dense2": (6, 7), "dense3": (3, 6)}
        with h5py.File(folder / "weights.h5", "w") as file:
            for layer, shape in shapes.items():
                file[f"model/{layer}/weight"] = np.random.default_rng(5).normal(0, 0.5, shape)
            change(file)
    return damage


def replace(file: h5py.File, name: str, values: Any) -> None:
    """Replace a dataset."""
    if name in file:
        del file[name]
    file[name] = values


def nothing(_: Path) -> None:
    """Leave the folder as it is."""


def deck(**changes: Any) -> dict[str, Any]:
    """Return changes of the base deck."""
    return changes


GIVEN = {"weights": "weights.h5"}
LAYERS = [{"units": 7}, {"units": 6}, {"units": 3}]

#: Name: exit status, damage to the files, changes of the deck, what the message says.
CASES: dict[str, tuple[int, Callable[[Path], None], dict[str, Any], str]] = {
    "no-file": (3, nothing, deck(data={"path": "none.h5"}), "cannot open 'none.h5': No such file"),
    "no-hdf5": (3, nothing, deck(data={"path": "deck.toml"}), "'deck.toml' is not an HDF5 file"),
    "no-folder": (3, nothing, deck(data={"source": "idx", "path": "none"}), "'none' (no such folder)"),
    "no-dataset": (3, edit("data/test/x", lambda x: None), deck(), "'data.h5' has no dataset 'data/test/x'"),
    "flat": (3, edit("data/train/x", lambda x: x[:, 0]), deck(), "has 1 dimension; expected samples x values"),
    "nan": (3, both(edit("data/train/x", with_nan), edit("data/test/x", lambda x: x / 255.0)), deck(),
            "'data/train/x' in 'data.h5': value 5 of sample 7 is nan"),
    "mixed-types": (3, edit("data/train/x", lambda x: x / 255.0), deck(),
                    "'data/train/x' in 'data.h5' holds real numbers, but 'data/test/x' in 'data.h5' holds integers"),
    "texts": (3, edit("data/train/x", lambda x: np.full((240, 12), b"x")), deck(), "does not hold numbers"),
    "fewer-labels": (3, edit("data/train/y", lambda y: y[:-1]), deck(), "240 samples, but 'data/train/y'"),
    "other-width": (3, edit("data/test/x", lambda x: x[:, :5]), deck(), "data/test/x"),
    "half-label": (3, edit("data/train/y", lambda y: y + 0.5), deck(), "'data/train/y'"),
    "another-label": (2, edit("data/train/y", with_label(9)), deck(),
                      "the last layer 'dense3' has 3 units, but the data have 4 classes"),
    "negative-label": (3, edit("data/train/y", with_label(-1)), deck(), "-1"),
    "absent-class": (3, nothing, deck(data={"classes": [0, 1, 5]}), "class 5 of data.classes does not occur"),
    "too-few": (3, nothing, deck(data={"train_per_class": 81}),
                "class 0 has 80 samples in 'data/train/y' in 'data.h5', but data.train_per_class = 81"),
    "too-few-tests": (3, nothing, deck(data={"test_count": 91}), "data.test_count = 91"),
    "no-test-of-the-classes": (3, edit("data/test/y", lambda y: y + 10), deck(), "no test sample is left"),
    "all-labels-wrong": (3, nothing, deck(data={"label_noise": 0.9, "train_per_class": 2}),
                         "data.label_noise = 0.9 leaves no training sample its label"),
    "no-training-partner": (3, both(edit("data/train/y", lambda y: np.where((y == 1) & (y.cumsum() > 1), 0, y)),
                                    nothing), deck(data={"label_noise": 0.6}),
                            "class 1 has 30 test samples to be paired, but no correctly labelled training sample"),
    "no-test-partner": (3, edit("data/test/y", lambda y: np.where(y == 2, 0, y)), deck(duality={"anchor": "train"}),
                        "class 2 has 80 training samples to be paired, but no test sample"),
    "magic": (3, idx_bytes("train-images-idx3-ubyte", lambda b: b"\0\0\x0d\x03" + b[4:]), deck(data=IDX),
              "'idx/train-images-idx3-ubyte' holds elements of type 0x0d"),
    "other-magic": (3, idx_bytes("t10k-labels-idx1-ubyte", lambda b: b"PK\3\4" + b[4:]), deck(data=IDX),
                    "'idx/t10k-labels-idx1-ubyte' begins with 0x504b0304"),
    "short-body": (3, idx_bytes("train-images-idx3-ubyte", lambda b: b[:-1]), deck(data=IDX),
                   "'idx/train-images-idx3-ubyte' is cut short"),
    "short-header": (3, idx_bytes("train-labels-idx1-ubyte", lambda b: b[:6]), deck(data=IDX),
                     "ends within its header"),
    "counts": (3, idx_bytes("train-labels-idx1-ubyte", lambda b: b[:4] + b"\0\0\0\x0a" + b[8:18]),
               deck(data=IDX), "240 images, but 'idx/train-labels-idx1-ubyte' holds 10 labels"),
    "cut-gzip": (3, idx_bytes("train-images-idx3-ubyte.gz", lambda b: b[:-100], packed=True), deck(data=IDX),
                 "'idx/train-images-idx3-ubyte.gz': the gzip file is cut short"),
    "corrupt-gzip": (3, idx_bytes("t10k-images-idx3-ubyte.gz", lambda b: b[:20] + b"\xff\0\xff" + b[23:], packed=True),
                     deck(data=IDX), "t10k-images-idx3-ubyte.gz"),
    "no-weights": (3, nothing, deck(network=GIVEN), "cannot open 'weights.h5'"),
    "weights-of-a-layer-missing": (3, weights(lambda f: f.__delitem__("model/dense2")), deck(network=GIVEN),
                                   "'weights.h5' has no dataset 'model/dense2/weight'"),
    "weights-of-other-shape": (3, weights(lambda f: replace(f, "model/dense2/weight", np.ones((6, 8)))),
                               deck(network=GIVEN), "'model/dense2/weight'"),
    "weights-not-finite": (3, weights(lambda f: replace(f, "model/dense3/weight", np.full((3, 6), np.inf))),
                           deck(network=GIVEN), "'model/dense3/weight' holds a value that is not finite"),
    "bias-missing": (3, weights(lambda f: None), deck(network={**GIVEN, "bias": True}), "model/dense1/bias"),
    "bias-too-many": (3, weights(lambda f: replace(f, "model/dense1/bias", np.ones(7))), deck(network=GIVEN),
                      "layer 'dense1' of the deck has no bias"),
    "unknown-layer": (2, nothing, deck(spectrum={"block": "dense4"}),
                      "deck.toml:11: key 'spectrum.block' names \"dense4\", which is no layer"),
    "layer-outside-block": (2, nothing, deck(spectrum={"block": "dense3"}), "duality.layer"),
    "bias-outside-network": (2, nothing, deck(spectrum={"block": "dense2+bias"}), "has no bias"),
    "last-layer": (2, nothing, deck(network={"layers": [{"units": 7}, {"units": 6}, {"units": 4}]}),
                   "the last layer 'dense3' has 4 units, but the data have 3 classes"),
    "count-beyond-block": (2, nothing, deck(spectrum={"count": 43}),
                           "spectrum.count = 43 is larger than the block (42 parameters)"),
    "too-many-of-the-kernel": (2, nothing, deck(spectrum={"ntk": 43}),
                               "spectrum.ntk = 43 is more eigenvalues than the tangent kernel has that are not zero: "
                               "at most the smaller of 720 logits (240 samples x 3 classes) and the block's 42 parameters"),
    "both-beyond-block": (2, nothing, deck(spectrum={"count": 22, "which": "both"}),
                          "spectrum.count = 22 at both ends is more than the block has (42 parameters)"),
    "all-beyond-limit": (2, nothing, deck(spectrum={"which": "all"}, numerics={"dense_limit": 41}),
                         "numerics.dense_limit = 41"),
    "fisher-of-no-likelihood": (2, nothing, deck(network={"loss": "softmax-mse"},
                                                 spectrum={"operator": "fisher"}), "no log-likelihood"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory,
             pool: Executor) -> dict[tuple[str, int], tuple[Path, Future[Outcome]]]:
    """Return the outcome of every case at one rank and at two, and its folder."""
    def run(name: str, folder: Path, ranks: int) -> Outcome:
        write_data(folder / "data.h5")
        _, damage, changes, _ = CASES[name]
        damage(folder)
        write_deck(folder / "deck.toml", **changes)
        return Program(folder)("run", "deck.toml", ranks=ranks)

    folders = {(name, ranks): tmp_path_factory.mktemp(f"{name}-{ranks}-", numbered=False)
               for name in CASES for ranks in (1, 2)}
    return {key: (folder, pool.submit(run, key[0], folder, key[1])) for key, folder in folders.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_used_is_told_and_leaves_nothing(
        outcomes: dict[tuple[str, int], tuple[Path, Future[Outcome]]], name: str, ranks: int) -> None:
    folder, outcome = outcomes[name, ranks]
    code, _, _, said = CASES[name]
    check_failure(outcome.result(), code, said)
    assert outcome.result().err.count("\n") == 1
    assert not (folder / "out").exists()


def test_a_training_that_diverges_is_told(program: Program, ranks: int) -> None:
    write_deck(program.folder / "deck.toml", network={"activation": "identity", "loss": "mse"},
               training={"learning_rate": 50})
    program.fail(4, "run", "deck.toml", ranks=ranks, said="training diverged: the loss is ")
    assert (program.folder / "out/status").read_text().startswith("failed: training diverged")
    assert "training diverged" in (program.folder / "out/log").read_text()
    assert not list((program.folder / "out").glob("*.h5*"))


def test_weights_too_large_for_a_loss_are_told(program: Program, ranks: int) -> None:
    weights(lambda file: replace(file, "model/dense1/weight", np.full((7, 12), 1e300)))(program.folder)
    write_deck(program.folder / "deck.toml", network={**GIVEN, "loss": "mse"}, training=None)
    program.fail(4, "run", "deck.toml", ranks=ranks, said="the training loss is ")


def test_too_few_eigenpairs_are_written_and_told(program: Program, ranks: int) -> None:
    write_deck(program.folder / "deck.toml", spectrum={"block": "all", "count": 20})
    outcome = program.fail(4, "run", "deck.toml", "--", "-eps_max_it", "1", "-eps_ncv", "24", ranks=ranks,
                           said=" of 20 eigenpairs converged to spectrum.tolerance = 1e-08 (stopped after ")
    assert "what was found is in 'out/result.h5'" in outcome.err
    contents = results.read(program.folder / "out/result.h5")
    assert contents["spectrum/all@converged"] < contents["spectrum/all@requested"] == 20
    assert contents["spectrum/all/eigenvalues"].size == contents["spectrum/all@converged"]
    assert contents["duality/dense2@identity_accounts"] < 1e-12
    assert (program.folder / "out/status").read_text().startswith("failed: only ")
    # Resumed without the options that stopped it, the search has another chance.
    again = program.succeed("run", "deck.toml", "--resume", ranks=ranks)
    assert "training: resumed after epoch 30" in again.out
    assert "20 of 20 eigenpairs" in again.out


def test_a_tolerance_beyond_the_precision_is_refused(program: Program, ranks: int) -> None:
    for precision, tolerance, said in (
            ("single", 1e-8, "'spectrum.tolerance' is 1e-08, below what products in single precision can give: 1e-06; "
             "numerics.precision = \"mixed\" or \"double\" can give 1e-14"),
            ("mixed", 1e-15, "'spectrum.tolerance' is 1e-15, below what products in double precision can give: 1e-14")):
        write_deck(program.folder / "deck.toml", numerics={"precision": precision}, spectrum={"tolerance": tolerance})
        outcome = program("run", "deck.toml", ranks=ranks)
        assert outcome.code == 2, outcome
        assert said in outcome.err, outcome
        assert not (program.folder / "out").exists()


def write_cancelling(folder: Path) -> None:
    """Write data and weights whose Hessian is what is left of far larger products that cancel.

    Every input stands under two labels, and the logits are between them: the samples' curvatures are opposite but
    for a share as small as the last layer's weights, and their sum is no more symmetric than its rounding lets it be.
    """
    with h5py.File(folder / "data.h5", "w") as file:
        for part in ("train", "test"):
            inputs = samples(120, 3)[0]
            file[f"data/{part}/x"] = np.concatenate([inputs, inputs, inputs[:3]])
            file[f"data/{part}/y"] = np.repeat([0, 1, 2], [120, 120, 3])
    random = np.random.default_rng(8)
    last = 1e-8 * random.normal(size=6)
    with h5py.File(folder / "weights.h5", "w") as file:
        for layer, weight in (("dense1", random.normal(size=(7, 12))), ("dense2", random.normal(size=(6, 7))),
                              ("dense3", [last, -last, 0 * last])):
            file[f"model/{layer}/weight"] = weight
            file[f"model/{layer}/bias"] = np.full(len(weight), 0.1)
        file["model/dense3/bias"][...] = [0.5, 0.5, 1.0]


def test_doubtful_eigenpairs_are_written_and_told(program: Program, ranks: int) -> None:
    write_cancelling(program.folder)
    write_deck(program.folder / "deck.toml", training=None, spectrum={"count": 5, "tolerance": 1e-4},
               network={**GIVEN, "bias": True, "activation": "tanh", "loss": "mse"})
    outcome = program.fail(4, "run", "deck.toml", ranks=ranks, said="the operator is not symmetric to rounding: "
                           "|<u, H v> - <v, H u>| is ")
    assert outcome.err.endswith("; the eigenpairs are in 'out/result.h5'\n")
    contents = results.read(program.folder / "out/result.h5")
    spectrum = results.group(contents, "spectrum/dense2")
    assert spectrum["@converged"] == spectrum["@requested"] == spectrum["eigenvalues"].size == 5
    assert spectrum["@symmetry_defect"] > 1e4 * np.finfo(np.float64).eps
    assert spectrum["@reason"].startswith("converged; the operator is not symmetric to rounding")
    assert contents["duality/dense2@identity_accounts"] < 1e-12
    assert (program.folder / "out/status").read_text().startswith("failed: converged; the operator is not symmetric")
    # Nobody goes on with such pairs.
    assert not (program.folder / "out/spectrum.h5").exists()


def test_a_basis_beyond_the_memory_is_refused(program: Program, ranks: int) -> None:
    # A million parameters, and a basis of more gigabytes than a rank may have.
    write_deck(program.folder / "deck.toml", network={"layers": [{"units": 1000}, {"units": 1000}, {"units": 3}]},
               training={"max_epochs": 0}, spectrum={"block": ["dense1", "dense2", "dense3"], "count": 1200})
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, limits[1]))
    try:
        outcome = program("run", "deck.toml", ranks=ranks)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert outcome.code == 4, outcome
    assert re.search(r"a basis of 1802 vectors of 1015000 entries takes \d+\.\d\d GiB ", outcome.err), outcome
    assert "ask for fewer eigenpairs or a smaller block" in outcome.err
    assert not (program.folder / "out").exists(), "nothing was begun"


class TestDeadLayers:
    """A training partner whose activities into the layer are all zero has no dual weight."""

    def run(self, program: Program, ranks: int, dead: Any, **changes: Any) -> tuple[Outcome, results.Contents]:
        """Run given weights whose first layer gives zero for the training samples where `dead`."""
        x, y = samples(240, 1)
        x[:, 0] = np.where(dead, 0, 200)
        edit("data/train/x", lambda _: x)(program.folder)
        test, _ = samples(90, 2)
        test[:, 0] = 200
        edit("data/test/x", lambda _: test)(program.folder)
        # The first layer sees the first pixel alone.
        first = np.zeros((7, 12))
        first[:, 0] = np.linspace(0.5, 2, 7)
        weights(lambda file: replace(file, "model/dense1/weight", first))(program.folder)
        write_deck(program.folder / "deck.toml", network=GIVEN, training=None, **changes)
        outcome = program("run", "deck.toml", ranks=ranks)
        return outcome, results.read(program.folder / "out/result.h5") if outcome.code == 0 else {}

    def test_some_pairs_are_dropped_and_told(self, program: Program, ranks: int) -> None:
        outcome, contents = self.run(program, ranks, np.arange(240) % 4 == 0, duality={"anchor": "train"})
        assert outcome.code == 0, outcome
        assert outcome.err == ("warning: 60 of 240 pairs have no dual weight at dense2 (its input is zero for the "
                               "training partner) and are left out\n")
        duality = results.group(contents, "duality/dense2")
        assert (duality["@dropped_pairs"], duality["@kept_pairs"]) == (60, 180)
        assert "@identity_real_gap" not in duality
        for key, value in contents.items():
            if np.issubdtype(np.asarray(value).dtype, np.number):
                assert np.all(np.isfinite(value)), key
        assert duality["@identity_accounts"] < 1e-12

    def test_all_pairs_dropped_leave_zeros(self, program: Program, ranks: int) -> None:
        outcome, contents = self.run(program, ranks, np.full(240, True))
        assert outcome.code == 0, outcome
        assert "90 of 90 pairs have no dual weight" in outcome.err
        for key, value in contents.items():
            if np.issubdtype(np.asarray(value).dtype, np.number):
                assert np.all(np.isfinite(value)), key

    def test_zero_everywhere_is_a_zero_dual(self, program: Program, ranks: int) -> None:
        weights(lambda file: replace(file, "model/dense1/weight", np.full((7, 12), -1.0)))(program.folder)
        write_deck(program.folder / "deck.toml", network=GIVEN, training=None)
        program.succeed("run", "deck.toml", ranks=ranks)
        duality = results.group(results.read(program.folder / "out/result.h5"), "duality/dense2")
        assert duality["@zero_duals"] == duality["@kept_pairs"] == 90
        assert duality["@dropped_pairs"] == 0
        assert duality["@unresolved"] == duality["@matched_gap"]


def test_gzip_of_this_test_is_whole_without_damage(program: Program) -> None:
    write_idx(program.folder / "idx", packed=True)
    for path in (program.folder / "idx").iterdir():
        assert gzip.decompress(path.read_bytes())
    write_deck(program.folder / "deck.toml", data=IDX)
    program.succeed("run", "deck.toml")
