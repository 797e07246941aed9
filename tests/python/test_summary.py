"""The summary's numbers are the result's."""

from __future__ import annotations

from pathlib import Path

import synthetic
from dualscape import Result
from dualscape.summary import summarise


def number_after(text: str, label: str) -> float:
    """Return the number that follows a label at the beginning of a line."""
    line = next(line.strip() for line in text.splitlines() if line.strip().startswith(label))
    return float(line[len(label):].split()[0])


def test_numbers(result: Result) -> None:
    text = summarise(result)
    duality, losses = result.dualities["dense2"], result.losses
    for label, value in (
            ("training", losses.train_loss), ("test", losses.test_loss),
            ("real gap, test - training", duality.real_gap),
            ("matched gap, over the pairs", duality.matched_gap),
            ("directions + complement", duality.matched_gap),
            ("sharp, first 4 (certified)", duality.sharp_contribution),
            ("flat, all the others", duality.flat_contribution)):
        assert number_after(text, label) == float(f"{value:.6g}"), label
    for part in (f"accuracy {100 * losses.test_accuracy:.2f} %", "losses after 39 epochs",
                 "30 of 30 eigenpairs", "5 negative, 0 zero within their bounds, 3 in clusters",
                 "200 pairs kept, 3 dropped", "duality exact to 2.0e-15", "|W| 12.5",
                 f"worst residual {result.spectra['dense2'].residuals.max() / 0.3:.1e} |H|"):
        assert part in text


def test_an_incomplete_basis(tmp_path: Path) -> None:
    contents = synthetic.result(count=9)
    with Result(contents.write(tmp_path / "result.h5")) as result:
        text = summarise(result)
        duality = result.dualities["dense2"]
    assert "sharp, first 4 (not certified)" in text
    assert number_after(text, "directions + complement") == float(f"{duality.matched_gap:.6g}")
    complement = float(f"{duality.complement_contribution:.6g}")
    assert number_after(text, "of which not computed") == complement != 0


def test_a_result_with_the_losses_only(contents: synthetic.Contents, tmp_path: Path) -> None:
    for group in ("training", "spectrum", "duality"):
        contents.remove(group)
    with Result(contents.write(tmp_path / "result.h5")) as result:
        text = summarise(result)
    assert "losses\n" in text
    assert "spectrum" not in text and "gap" not in text


def test_no_gap_at_all(contents: synthetic.Contents, tmp_path: Path) -> None:
    contents.set_attributes("duality/dense2", matched_gap=0.0)
    with Result(contents.write(tmp_path / "result.h5")) as result:
        assert "nan" not in summarise(result)
