"""The reader of result files; inputs/FORMAT.md describes their layout.

Letters of shapes: N training samples, T test samples, E evaluations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .dualities import (Classes, Clusters, Directions, Duality, Intervals, Pairs, Parts)
from .files import File, Provenance
from .node import Array, Node, ResultError, from_attributes
from .node import array_property as _array
from .node import attribute_property as _attribute
from .spectra import OperatorSpectrum, Spectrum

__all__ = ["Classes", "Clusters", "DataSelection", "Directions", "Duality", "History", "Intervals",
           "Layer", "Losses", "OperatorSpectrum", "Pairs", "Parts", "Provenance", "Result",
           "ResultError", "Spectrum"]


@dataclass(frozen=True)
class Losses:
    """Losses and accuracies at the analysed weights; `gap` is `test_loss` - `train_loss`."""

    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    gap: float


class DataSelection(Node):
    """Which samples of the source were used."""

    source = _attribute("source", "Where the samples came from.")
    classes = _attribute("classes", "The classes' labels in the source.")
    train_index = _array("train_index", "Positions of the training samples in the source, (N).")
    test_index = _array("test_index", "Positions of the test samples in the source, (T).")
    label_correct = _array("label_correct", "Whether a training sample has its own label, (N).")


class Layer(Node):
    """The analysed weights of one layer."""

    weight = _array("weight", "W of z = W a + b, (out, in).")

    @cached_property
    def bias(self) -> Array | None:
        """b of z = W a + b, (out); None for a layer without one."""
        return self.array("bias") if "bias" in self else None

    def _describe(self) -> str:
        shape = " x ".join(str(size) for size in self.member("weight").shape)
        return shape + (" + bias" if "bias" in self else "")


class History(Node):
    """The course of the training, one entry an evaluation, (E) each."""

    epoch = _array("epoch", "Epochs done at the evaluation.")
    loss = _array("loss", "Mean loss over the training samples.")
    accuracy = _array("accuracy", "Share of the training samples classified as labelled.")
    test_loss = _array("test_loss", "Mean loss over the test samples.")
    test_accuracy = _array("test_accuracy", "Share of the test samples classified as labelled.")

    def _describe(self) -> str:
        return f"{self.member('epoch').shape[0]} evaluations"


class Result(File):
    """A result file, open for reading; `with Result(path) as result` closes it at the end.

    Nothing but the file's type and version is read on opening; arrays are read when they are first
    asked for, and kept.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ResultError
        If the file is missing, unreadable, of another type or of a version not known here.
    """

    filetype = "dualscape-result"
    expected = "a result.h5 that 'dualscape run' wrote"
    hints = {
        "dualscape-checkpoint": "the run is unfinished: 'dualscape run DECK --resume' goes on",
        "dualscape-study": "it holds a whole study: open it as a Study, or give the result.h5 of "
                           "one of its runs",
    }

    @cached_property
    def data(self) -> DataSelection:
        """The samples that were used."""
        return DataSelection(self.member("data"))

    @cached_property
    def model(self) -> dict[str, Layer]:
        """The analysed weights by layer."""
        return self._nodes("model", Layer)

    @cached_property
    def training(self) -> History | None:
        """The course of the training; None when the weights were given."""
        return History(self.member("training")) if "training" in self else None

    @cached_property
    def losses(self) -> Losses:
        """Losses and accuracies at the analysed weights."""
        return from_attributes(Losses, Node(self.member("loss")))

    @cached_property
    def spectra(self) -> dict[str, Spectrum]:
        """Eigenpairs by block of weights; empty without a spectrum."""
        return self._nodes("spectrum", Spectrum)

    @cached_property
    def dualities(self) -> dict[str, Duality]:
        """The decomposed gap by layer; empty without a duality."""
        return self._nodes("duality", Duality)

    def _describe(self) -> str:
        spectra = ", ".join(self.spectra) or "none"
        dualities = ", ".join(self.dualities) or "none"
        return f"{self.attribute('title')!r}, spectra {spectra}, dualities {dualities}"
