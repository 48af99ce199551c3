"""TFLite files in whichever interpreter is given: LiteRT and tflite-runtime differ in the import only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from emtc_agent.detector.runtimes import Scores
from emtc_agent.packets import Float32
from emtc_contract.bundle import INPUT, OUTPUTS, Artifact
from emtc_contract.errors import BundleError

SIZES = (1, 8, 32, 128)
_IDENTIFIER = b"TFL3"  # at offset 4 of the flatbuffer, schema.fbs of TensorFlow Lite


class TfliteModel:
    """A model, held once for each of a few batch sizes.

    Giving an interpreter another batch size costs as much as scoring tens of rows, so each size has its own, made
    when first needed; what is left of a batch is cut into smaller sizes or filled up to the next.

    Args:
        model: TFLite bytes.
        artifact: What they are.
        columns: Features per row.
        threads: Threads that score.
    """

    name: str
    interpreter: ClassVar[Any]

    def __init__(self, model: bytes, artifact: Artifact, columns: int, threads: int = 1) -> None:
        self.artifact = artifact
        self._model = model
        self._columns = columns
        self._threads = threads
        self._sized: dict[int, _Sized] = {}
        latent = self._of_size(1).latent
        self._none = Scores(*(np.zeros(shape, np.float32) for shape in ((0,), (0, columns), (0, latent))))

    def run(self, features: Float32) -> Scores:
        """Score rows, in pieces of the sizes there are."""
        pieces, at = [], 0
        while at < len(features):
            size = _next_size(len(features) - at)
            pieces.append(self._run(features[at : at + size], size))
            at += size
        if len(pieces) == 1:
            return pieces[0]
        score, errors, latent = (
            np.concatenate([getattr(piece, name) for piece in (self._none, *pieces)]) for name in OUTPUTS
        )
        return Scores(score, errors, latent)

    def _run(self, rows: Float32, size: int) -> Scores:
        filled = rows
        if size > len(rows):
            filled = np.zeros((size, self._columns), np.float32)
            filled[: len(rows)] = rows
        return Scores(*(output[: len(rows)] for output in self._of_size(size).run(filled)))

    def _of_size(self, size: int) -> _Sized:
        if size not in self._sized:
            self._sized[size] = _Sized(self._interpreter(size), self.artifact.file, self._columns)
        return self._sized[size]

    def _interpreter(self, size: int) -> Any:
        """An interpreter for a batch size."""
        file = self.artifact.file
        if self._model[4:8] != _IDENTIFIER:  # tflite-runtime crashes on some files that are none
            raise BundleError(f"{file}: not a TFLite file")
        try:
            with _quiet():
                made = self.interpreter(model_content=self._model, num_threads=self._threads)
                for one in made.get_input_details():
                    made.resize_tensor_input(one["index"], [size, self._columns])
                made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{file}: {self.name} cannot load it: {str(error)[:200]}") from None
        return made


def _next_size(left: int) -> int:
    """The smallest size that holds all that is left, unless more than half of it would be filling."""
    size = next((size for size in SIZES if size >= left), SIZES[-1])
    return size if size <= 2 * left else max(size for size in SIZES if size <= left)


class _Sized:
    """An interpreter whose form is checked."""

    def __init__(self, interpreter: Any, file: str, columns: int) -> None:
        inputs = {one["name"]: one for one in interpreter.get_input_details()}
        outputs = {one["name"]: one for one in interpreter.get_output_details()}
        if list(inputs) != [INPUT] or not set(OUTPUTS) <= set(outputs):
            raise BundleError(f"{file}: takes {list(inputs)}, gives {sorted(outputs)}; not a model of this product")
        shapes = [outputs[name]["shape_signature"].tolist() for name in OUTPUTS]
        self.latent: int = shapes[2][-1]
        if shapes != [[-1], [-1, columns], [-1, self.latent]]:
            raise BundleError(f"{file}: gives outputs of shapes {shapes} for rows of {columns} features")
        self._interpreter = interpreter
        self._input = inputs[INPUT]["index"]
        self._outputs = [outputs[name]["index"] for name in OUTPUTS]

    def run(self, features: Float32) -> Iterator[Float32]:
        """(size, F) features -> copies of the outputs."""
        self._interpreter.set_tensor(self._input, features)
        self._interpreter.invoke()
        return (self._interpreter.get_tensor(index) for index in self._outputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Standard error of the process closed: the library greets each new interpreter there, with no setting for it."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
