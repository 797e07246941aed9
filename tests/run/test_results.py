"""Decks of every kind run to a result that keeps its promises, the same at any number of ranks."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
import results
from decks import changed, write_data, write_deck, write_idx
from program import Program, check_success
from summaries import check_summary

EPSILON = np.finfo(float).eps
BIAS = {"bias": True}

#: Changes of the base deck, which trains and asks for the largest eigenpairs.
DECKS: dict[str, dict[str, Any]] = {
    "largest": {},
    "smallest": {"spectrum": {"which": "smallest"}},
    "both": {"spectrum": {"which": "both", "count": 5}},
    "both-ends-meet": {"spectrum": {"which": "both", "count": 21}},
    "all": {"spectrum": {"which": "all"}},
    "no-duality": {"duality": None},
    "no-spectrum": {"duality": None, "spectrum": None},
    "whole-network": {"network": BIAS, "spectrum": {"block": "all"}},
    "every-layer": {"network": BIAS, "spectrum": {"block": "all", "which": "all"},
                    "duality": {"layer": "all"}},
    "sharp-by-share": {"duality": {"sharp_by": "share", "sharp_share": 0.5, "bootstrap": 0}},
    "sharp-by-eigenvalue": {"duality": {"sharp_by": "eigenvalue", "bootstrap": 50}},
    "operators": {"duality": {"operators": ["gap", "dual-covariance", "secant-moment"],
                              "operator_count": 4, "co_spectrum": 90},
                  "spectrum": {"which": "all"}},
    "three-neighbours": {"duality": {"neighbours": 3, "neighbour_rank": 2}},
    "three-random-partners": {"duality": {"neighbours": 3, "pairing": "random"}},
    "two-layers": {"spectrum": {"block": ["dense1", "dense2"]},
                   "duality": {"layer": ["dense2", "dense1"], "pairing": "nearest-activity"}},
    "whole-network-all": {"spectrum": {"block": "all", "which": "all"}},
    "first-layer-and-bias": {"network": {**BIAS, "activation": "tanh"},
                             "duality": {"layer": "dense1", "dual": "augmented"},
                             "spectrum": {"block": "dense1+bias", "which": "all"}},
    "list-of-layers": {"network": {**BIAS, "activation": "gelu"}, "duality": {"layer": "dense3"},
                       "spectrum": {"block": ["dense1", "dense3+bias"]}},
    "gauss-newton": {"spectrum": {"operator": "gauss-newton", "which": "all"}},
    "fisher": {"spectrum": {"operator": "fisher", "which": "all"}},
    "empirical-fisher": {"spectrum": {"operator": "empirical-fisher", "which": "all"}},
    "pruned": {"network": BIAS, "spectrum": {"block": "all", "prune": 0.05, "tolerance": 1e-6}},
    "gradient-covariance": {"spectrum": {"operator": "gradient-covariance", "count": 5}},
    "summary": {"spectrum": {"density_probes": 8, "density_steps": 15, "trace_products": 42,
                             "diagonal_products": 42, "ntk": 10}},
    "summary-estimated": {"spectrum": {"block": "all", "density_probes": 40, "trace_products": 30,
                                       "diagonal_products": 20, "ntk": 6, "tolerance": 1e-5},
                          "network": {**BIAS, "activation": "tanh"},
                          "numerics": {"precision": "single"}, "duality": None},
    "last-layer-mse": {"network": {"loss": "mse", "activation": "sigmoid"},
                       "spectrum": {"block": "dense3", "which": "all"}, "duality": {"layer": "dense3"}},
    "softmax-mse": {"network": {"loss": "softmax-mse", "activation": "softplus"},
                    "spectrum": {"which": "all"}},
    "single": {"numerics": {"precision": "single"}, "spectrum": {"which": "all"}},
    "mixed": {"numerics": {"precision": "mixed"}, "spectrum": {"second_start": True, "solver_block": 2}},
    "mixed-pruned": {"numerics": {"precision": "mixed"}, "network": BIAS,
                     "spectrum": {"block": "all", "prune": 0.05, "which": "both"}},
    "single-largest": {"numerics": {"precision": "single"}, "spectrum": {"tolerance": 1e-5}},
    "regularised": {
        "network": {"layers": [{"units": 7, "dropout": 0.2}, {"units": 6}, {"units": 3}]},
        "training": {"momentum": 0.5, "learning_rate": 0.05,
                     "weight_decay": {"kind": "norm", "strength": 0.01, "epochs": 5}}},
    "noisy-labels": {"data": {"label_noise": 0.2, "train_per_class": 40, "test_count": 50},
                     "training": {"weight_decay": {"kind": "l2", "strength": 1e-3}}},
    "anchor-train": {"duality": {"anchor": "train"}, "spectrum": {"which": "all"}},
    "nearest-activity": {"duality": {"pairing": "nearest-activity", "dual": "metric"}},
    "random-pairs": {"duality": {"pairing": "random", "anchor": "train"}},
    "lean": {"numerics": {"cache": 0, "lanes": 2}, "output": {"eigenvectors": False},
             "training": {"batch_size": 240}},
}


def run(program: Program, *ranks: int, **changes: Any) -> list[results.Contents]:
    """Run a deck at some numbers of ranks and return the results, checked against the format page."""
    write_deck(program.folder / "deck.toml", **changes)
    running = [program.start("run", "deck.toml", "--output", f"np{count}", ranks=count) for count in ranks]
    contents = []
    for count, command in zip(ranks, running, strict=True):
        check_success(command.finish())
        contents.append(results.read(program.folder / f"np{count}" / "result.h5"))
        results.check_format(contents[-1], changed(**changes))
        assert contents[-1]["@ranks"] == count
    return contents


def check_same(one: results.Contents, other: results.Contents) -> None:
    """Compare results of different rank counts: the same bits where sums have a fixed order."""
    for key, value in one.items():
        if key.startswith(("model/", "training/", "data/", "loss@")) or "/pairs/" in key:
            assert np.array_equal(value, other[key]), key
    for key, value in one.items():
        if key.startswith("spectrum/") and key.endswith("/eigenvalues"):
            block = key.removesuffix("/eigenvalues")
            bounds = one[block + "/value_bounds"] + other[block + "/value_bounds"]
            assert np.all(np.abs(value - other[key]) <= bounds)


def check_operators(duality: results.Contents) -> None:
    """Check eigenpairs of operators on the layer's weight against the decomposition."""
    for name, variances in (("dual-covariance", "sigma_w"), ("gap", "contribution")):
        operator = results.group(duality, f"operators/{name}")
        if not operator:
            continue
        values = operator["eigenvalues"]
        assert operator["@converged"] == operator["@requested"] == values.size
        assert np.all(operator["residuals"] <= 1e-7 * operator["@norm_estimate"])
        # No direction carries more than the operator's own largest eigenvalue, and less than its smallest.
        forms = duality[f"directions/{variances}"] ** (2 if variances == "sigma_w" else 1)
        slack = 1e-9 * np.max(np.abs(values))
        assert np.max(forms) <= values[0] + slack
        if name == "gap":
            assert operator["@which"] == "both"
            assert np.min(forms) >= values[-1] - slack
        assert 0 <= operator["@alignment_commutator"] <= 2**0.5
        assert 0 <= operator["@alignment_diagonal"] <= 1
    if "co_spectrum" in duality:
        per = results.group(duality, "directions")
        expected = np.sum(per["eigenvalue"] * per["sigma_w"] ** 2)
        assert np.sum(duality["co_spectrum"]) == pytest.approx(expected, rel=1e-9)


def check_accounts(contents: results.Contents, precision: float) -> None:
    """Check the decomposition's sums, from its own numbers."""
    for name in ("dense1", "dense2", "dense3"):
        duality = results.group(contents, f"duality/{name}")
        if not duality:
            continue
        gap = duality["pairs/loss_gap"]
        scale = np.mean(np.abs(gap))
        per = results.group(duality, "directions")
        order = per["order_by_sigma_g"]
        sharp = per["sharp"] == 1

        assert duality["@kept_pairs"] == gap.size
        assert duality["@mean_abs_loss_gap"] == pytest.approx(scale, rel=1e-14)
        # Sums of at most a few hundred numbers of size `scale`.
        near = {"abs": 1e-12 * scale, "rel": 0}
        assert duality["@matched_gap"] == pytest.approx(np.mean(gap), **near)
        assert duality["@matched_gap"] == pytest.approx(
            duality["@total_contribution"] + duality["@complement_contribution"]
            + duality["@unresolved"], **near)
        assert duality["@total_contribution"] == pytest.approx(np.sum(per["contribution"]), **near)
        assert duality["@sharp_contribution"] == pytest.approx(
            np.sum(per["contribution"][sharp]), **near)
        assert duality["@flat_contribution"] == pytest.approx(
            duality["@matched_gap"] - duality["@unresolved"] - duality["@sharp_contribution"], **near)
        assert duality["@real_gap"] == contents["loss@gap"]
        assert duality["@sharp"] == np.sum(sharp)
        check_operators(duality)
        if duality["@sharp_by"] != "eigenvalue":
            assert np.all(sharp[order[:duality["@sharp"]]])
        assert np.sum(duality["clusters/contribution"]) == pytest.approx(
            duality["@total_contribution"], **near)
        for part, attribute in (("matched_gap", "matched_gap"), ("unresolved", "unresolved"),
                                *((part, part + "_contribution")
                                  for part in ("total", "complement", "sharp", "flat"))):
            value = duality["@" + attribute]
            assert np.sum(duality["classes/" + part]) == pytest.approx(value, **near)
            if "intervals/" in duality:
                low, high = duality["intervals/" + part]
                assert low <= value <= high
        assert np.sum(duality["classes/pairs"]) == np.sum(duality["classes/confusion"]) == gap.size
        assert np.sum(duality["classes/confusion_gap"]) == pytest.approx(np.mean(gap), **near)
        assert np.all(np.diff(per["sigma_g"][order]) <= 0)
        assert sorted(order) == list(range(order.size))
        assert np.all(np.diff(per["eigenvalue"]) <= 0)
        assert duality["@exactness"] == np.max(duality["pairs/exactness"])
        assert duality["@exactness_pair"] == np.argmax(duality["pairs/exactness"])
        for term in ("gradient_term", "curvature_term"):
            assert duality["@" + term] == pytest.approx(np.mean(duality["pairs/" + term]), **near)
        assert np.sum(duality["pairs/state"] == 1) == duality["@zero_duals"]
        assert np.all(per["contribution_bound"] <= scale * (1 + 1e-14))
        assert duality["@worst_bound"] == np.max(duality["clusters/contribution_bound"])
        assert duality["@sharp_bound"] <= np.sum(per["contribution_bound"][sharp]) * (1 + 1e-14)
        assert duality["@sharp_sigma_w"] == pytest.approx(np.linalg.norm(per["sigma_w"][sharp]))
        assert duality["@sharp_sigma_g"] == pytest.approx(np.linalg.norm(per["sigma_g"][sharp]))
        for sigma in ("sigma_w", "sigma_g"):
            assert np.linalg.norm(per[sigma]) <= duality["@whole_" + sigma] * (1 + 1e-12)
        assert duality["@exactness"] < 1e-12 * (1 + np.max(np.abs(gap)))
        identities = {key: value for key, value in duality.items() if key.startswith("@identity")}
        assert len(identities) >= 4
        for key, value in identities.items():
            # Projections on up to 150 directions, each good to rounding; products in the network's precision
            # are part of the curvature alone.
            limit = 1e3 * precision if key == "@identity_curvature" else 1e-12
            assert value < limit, f"{key} = {value}"


@pytest.mark.parametrize("name", DECKS)
def test_a_deck_runs_to_the_same_sound_result_on_one_rank_and_two(program: Program, name: str) -> None:
    single = DECKS[name].get("numerics", {}).get("precision") == "single"
    one, two = run(program, 1, 2, **DECKS[name])
    check_same(one, two)
    check_summary(one, two)
    check_accounts(one, np.finfo(np.float32).eps if single else EPSILON)
    check_accounts(two, np.finfo(np.float32).eps if single else EPSILON)


def test_results_are_the_same_at_one_to_four_ranks(program: Program) -> None:
    complete = run(program, 1, 2, 3, 4, spectrum={"which": "all"})
    for other in complete[1:]:
        check_same(complete[0], other)
        # Rank 0 finds and certifies all pairs by itself, from products that have the same bits.
        for key in ("eigenvalues", "residuals", "value_bounds", "angle_bounds", "eigenvectors", "@matrix_distance"):
            key = f"spectrum/dense2/{key}".replace("/@", "@")
            assert np.array_equal(complete[0][key], other[key]), key
        for key in ("contribution", "sigma_w", "sigma_g"):
            path = f"duality/dense2/directions/{key}"
            clusters = complete[0]["spectrum/dense2/clusters"]
            # Directions of a cluster are any basis of its space: only its sums are defined.
            def sums(values: Any) -> Any:
                return np.bincount(clusters, weights=values**2 if "sigma" in key else values)
            bound = np.bincount(clusters, weights=complete[0]["duality/dense2/directions/contribution_bound"])
            difference = np.abs(sums(complete[0][path]) - sums(other[path]))
            assert np.all(difference <= 1e-9 * np.max(np.abs(sums(complete[0][path]))) + 2 * bound)


def test_more_ranks_than_samples_of_a_lane_change_nothing(program: Program) -> None:
    changes = {"data": {"train_per_class": 2, "test_count": 3}, "training": {"batch_size": 2}}
    check_same(*run(program, 1, 8, **changes))


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_the_ends_are_those_of_the_complete_spectrum_within_the_bounds(program: Program,
                                                                       which: str) -> None:
    write_deck(program.folder / "deck.toml")
    values = {}
    for asked in ("all", which):
        program.succeed("run", "deck.toml", "--output", asked, "--set", f"spectrum.which={asked}")
        spectrum = results.group(results.read(program.folder / asked / "result.h5"), "spectrum/dense2")
        values[asked] = spectrum["eigenvalues"], spectrum["value_bounds"]
    count = values[which][0].size
    assert count == 8
    part = slice(None, count) if which == "largest" else slice(-count, None)
    difference = np.abs(values[which][0] - values["all"][0][part])
    assert np.all(difference <= values[which][1] + values["all"][1][part])


def test_a_pruned_solve_finds_the_pairs_of_the_whole_one_within_the_bounds(program: Program) -> None:
    longer = {"max_epochs": 150}
    changes = {"block": ["dense1", "dense2"], "count": 5, "tolerance": 1e-8}
    (whole,) = run(program, 2, training=longer, spectrum=changes)
    pruned = run(program, 1, 3, training=longer, spectrum={**changes, "prune": 0.03})
    for contents in pruned:
        check_same(whole, contents)
        spectrum = results.group(contents, "spectrum/dense1,dense2")
        assert 0 < spectrum["@samples_pruned"] < 240
        assert 0 < spectrum["@prune_bound"] <= 0.03 * 1.5 * spectrum["@norm_estimate"]
        assert np.all(spectrum["residuals"] <= 1e-8 * spectrum["@norm_estimate"])
        assert spectrum["@matvecs"] < results.group(whole, "spectrum/dense1,dense2")["@matvecs"]
    for name in ("samples_pruned", "prune_bound"):
        assert len({contents[f"spectrum/dense1,dense2@{name}"] for contents in pruned}) == 1


def test_the_losses_are_those_of_the_weights_in_the_file(program: Program) -> None:
    (contents,) = run(program, 2, network=BIAS, data={"label_noise": 0.1, "test_count": 70})
    with h5py.File(program.folder / "data.h5") as file:
        sets = {part: (file[f"data/{part}/x"][()] / 255.0, file[f"data/{part}/y"][()])
                for part in ("train", "test")}
    for part in ("train", "test"):
        index = contents[f"data/{part}_index"]
        a, label = sets[part][0][index], sets[part][1][index]
        for layer in ("dense1", "dense2", "dense3"):
            a = np.maximum(a, 0) if layer != "dense1" else a
            a = a @ contents[f"model/{layer}/weight"].T + contents[f"model/{layer}/bias"]
        if part == "train":
            correct = contents["data/label_correct"] == 1
            assert np.sum(~correct) == 24
            a, label = a[correct], label[correct]
        loss = np.mean(np.log(np.sum(np.exp(a), axis=1)) - a[np.arange(label.size), label])
        assert contents[f"loss@{part}_loss"] == pytest.approx(loss, rel=1e-12)
        assert contents[f"loss@{part}_accuracy"] == np.mean(np.argmax(a, axis=1) == label)


def test_given_weights_are_analysed_as_they_are(program: Program, ranks: int) -> None:
    write_deck(program.folder / "deck.toml")
    program.succeed("run", "deck.toml", "--output", "first")
    given = program.folder / "first" / "result.h5"
    first = results.read(given)
    (again,) = run(program, ranks, training=None, network={"weights": given})
    for key, value in results.model(first).items():
        assert np.array_equal(value, again[key])
    assert "training/" not in again
    assert again["spectrum/dense2/eigenvalues"] == pytest.approx(
        first["spectrum/dense2/eigenvalues"], abs=2 * np.max(first["spectrum/dense2/value_bounds"]))


def test_training_goes_on_from_given_weights(program: Program) -> None:
    write_deck(program.folder / "deck.toml")
    program.succeed("run", "deck.toml", "--output", "first")
    given = program.folder / "first" / "result.h5"
    (again,) = run(program, 1, network={"weights": given}, training={"max_epochs": 1})
    assert again["training/loss"][0] == results.read(given)["loss@train_loss"]
    assert not np.array_equal(again["model/dense1/weight"], results.read(given)["model/dense1/weight"])


def test_no_epochs_analyse_the_initial_weights(program: Program) -> None:
    (contents,) = run(program, 1, training={"max_epochs": 0})
    assert list(contents["training/epoch"]) == [0]


def test_the_resolved_deck_in_the_file_gives_the_same_result(program: Program) -> None:
    (first,) = run(program, 2, data={"label_noise": 0.1}, training={"momentum": 0.9, "learning_rate": 0.01})
    (program.folder / "again.toml").write_bytes(first["deck/resolved"])
    program.succeed("run", "again.toml", "--output", "again", ranks=2)
    again = results.read(program.folder / "again" / "result.h5")
    check_same(first, again)
    assert again["deck/resolved"].replace(b'"again"', b'"np2"') == first["deck/resolved"]
    assert first["deck/original"].decode() == (program.folder / "deck.toml").read_text()


def test_seeds_differ(program: Program) -> None:
    (one,) = run(program, 1, seed=1)
    (two,) = run(program, 2, seed=2)
    assert not np.array_equal(one["model/dense1/weight"], two["model/dense1/weight"])


def test_a_part_of_the_classes_and_a_layer_with_a_name(program: Program) -> None:
    write_data(program.folder / "wide.h5", features=16)
    (contents,) = run(program, 2, data={"path": "wide.h5", "classes": [2, 0]},
                      network={"layers": [{"units": 5}, {"units": 4, "name": "middle"}, {"units": 2}]},
                      spectrum={"block": "middle", "which": "all"}, duality={"layer": "middle"})
    assert list(contents["data@classes"]) == [2, 0]
    assert contents["model/dense1/weight"].shape == (5, 16)
    assert contents["data/train_index"].size == 160


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_idx_files_hold_the_same_data(program: Program, packed: bool) -> None:
    (hdf5,) = run(program, 1)
    write_idx(program.folder / "idx", packed=packed)
    (idx,) = run(program, 2, data={"source": "idx", "path": "idx"})
    check_same(hdf5, {**idx, "data@source": hdf5["data@source"]})


def test_what_is_certified_to_be_sharp_is_sharp_among_all_directions(program: Program) -> None:
    write_deck(program.folder / "deck.toml")

    def duality(name: str, *settings: str) -> results.Contents:
        program.succeed("run", "deck.toml", "--output", name, *settings)
        return results.group(results.read(program.folder / name / "result.h5"), "duality/dense2")

    whole = duality("all", "--set", "spectrum.which=all")
    largest = np.sort(whole["directions/sigma_g"])[::-1]
    certified = []
    for count in (4, 8, 20, 41):
        for sharp in (1, 4):
            part = duality(f"{count}-{sharp}", "--set", f"spectrum.count={count}", "--set", f"duality.sharp={sharp}")
            certified.append(part["@sharp_certified"])
            if certified[-1]:
                chosen = part["directions/sigma_g"][part["directions/order_by_sigma_g"][:sharp]]
                assert chosen == pytest.approx(largest[:sharp], rel=1e-6)
            if count == 41:
                # One direction is left: the test is exact.
                left = whole["directions/sigma_g"][-1]
                assert certified[-1] == (left <= np.sort(part["directions/sigma_g"])[-sharp])
    assert {0, 1} == set(certified)


#: What takes the most memory: the certificate's blocks with the sums of many lanes, or in double beside a solve in
#: single; at the lower end the search for copies, with the bases of two solves; for all pairs LAPACK.
PEAKS: dict[str, dict[str, Any]] = {"lanes": {}, "mixed": {"numerics": {"lanes": 1, "precision": "mixed"}},
                                    "search": {"numerics": {"lanes": 1}, "spectrum": {"which": "smallest", "count": 2}},
                                    "all": {"units": 40, "spectrum": {"which": "all", "block": "dense2"}}}


@pytest.mark.parametrize("peak_by", PEAKS.values(), ids=PEAKS)
def test_the_peak_memory_of_a_solve_is_planned_within_a_tenth(program: Program, peak_by: dict[str, Any]) -> None:
    # 250,000 weights, or a matrix of 1,600: their vectors are several times what the process holds before.
    units = peak_by.get("units", 500)
    changes = {"network": {"layers": [{"units": units}, {"units": units}, {"units": 3}]}, "duality": None,
               "data": {"train_per_class": 20}, "training": {"max_epochs": 0}, "numerics": peak_by.get("numerics", {}),
               "output": {"eigenvectors": False},
               "spectrum": {"block": "all", "tolerance": 1e-2} | peak_by.get("spectrum", {})}
    for contents in run(program, 1, 2, **changes):
        block = "spectrum/" + changes["spectrum"]["block"]
        planned, peak = contents[f"{block}@planned_bytes"], contents[f"{block}@peak_bytes"]
        assert peak > 100e6
        assert planned == pytest.approx(peak, rel=0.1)
