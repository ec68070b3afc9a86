"""The files of one training: the checkpoint, its log for people, the state while it lasts, and the scalars for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from .. import checkpoint
from ..contracts import LinearOperator
from ..errors import InvalidInput
from ..files import replace_file
from ..inverses import Learned
from . import state


@dataclass(frozen=True)
class Files:
    """Where a training keeps what; all None for one that keeps nothing."""

    output: Path | None
    state: Path | None
    logs: Path | None

    @staticmethod
    def beside(output: str | Path | None) -> Files:
        """The files of the checkpoint ``output``. Raises InvalidInput where it cannot be written, or a NAME.json that is not a training's is in the way."""
        if output is None:
            return Files(None, None, None)
        path = checkpoint.check_path(output)
        files = Files(path, path.with_suffix(".unfinished.safetensors"), path.with_suffix(".tensorboard"))
        log = path.with_suffix(".json")
        if log.exists() and not _is_log(log):
            raise InvalidInput(f"{log} exists and is no training log, and {path} needs that name for its own; give another output, or move {log.name} away")
        return files

    def finished(self, settings: Mapping[str, Any]) -> Learned | None:
        """What an earlier run with these settings made. Raises InvalidInput for a checkpoint or a state of other settings, or another file of that name."""
        if self.output is None or self.state is None:
            return None
        if not self.output.exists():
            if self.state.exists():
                state.check_same(self.state, checkpoint.read_record(self.state, "training").get("settings"), settings, "an unfinished training")
            return None
        record = checkpoint.read_record(self.output)
        state.check_same(self.output, record["training"].get("settings", {}), settings, "an inverse that was trained")
        learned = checkpoint.load_inverse(self.output)
        self._clean(record)  # a run may have been killed between the checkpoint and the rest
        return learned

    def finish(self, learned: Learned, op: LinearOperator, training: Mapping[str, Any]) -> None:
        """Write checkpoint and log, then remove the state, which they supersede."""
        if self.output is None:
            return
        checkpoint.save_inverse(self.output, learned, op=op, training=training)
        self._clean(checkpoint.read_record(self.output))

    def _clean(self, record: Mapping[str, Any]) -> None:
        assert self.output is not None and self.state is not None
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
        text = f"{{\n{lines}\n}}\n"
        log = self.output.with_suffix(".json")
        if not log.exists() or log.read_text() != text:
            replace_file(log, partial(_put, text.encode()))
        state.remove(self.state)


def _put(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _is_log(path: Path) -> bool:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("kind") == "inverse" and "training" in record
