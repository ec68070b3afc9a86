"""The files of one training: checkpoint, log for people, state while it lasts, and scalars for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ... import checkpoint
from ...errors import InvalidInput
from ...io.replace import replace_file
from ...operators.base.fingerprint import check_lasting
from . import state

Trained = TypeVar("Trained")


@dataclass(frozen=True)
class Files:
    """Where a training keeps what; all paths None for one that keeps nothing.

    Args:
        kind: What it trains, as its checkpoint says it.
        output: The checkpoint; its log lies beside it.
        state: What an unfinished training goes on from.
        logs: The folder of the scalars.
    """

    kind: str
    output: Path | None
    state: Path | None
    logs: Path | None

    @staticmethod
    def beside(output: str | Path | None, kind: str) -> Files:
        """The files of the checkpoint ``output``.

        Raises:
            InvalidInput: Where it cannot be written, or a NAME.json that is not a training's is in the way.
        """
        if output is None:
            return Files(kind, None, None, None)
        path = checkpoint.check_path(output)
        if path.stem.endswith(".unfinished"):
            raise InvalidInput(
                f"{path.name} is the name of an unfinished training's state; give another output, "
                f"such as {path.stem[:-11]}.safetensors"
            )
        files = Files(kind, path, path.with_suffix(".unfinished.safetensors"), path.with_suffix(".tensorboard"))
        if files.logs is not None and files.logs.exists() and not files.logs.is_dir():
            raise InvalidInput(
                f"{files.logs} exists and is no folder, and {path} needs that name for its scalars; "
                "give another output, or move it away"
            )
        log = path.with_suffix(".json")
        if log.exists() and not _is_log(log, kind):
            raise InvalidInput(
                f"{log} exists and is no training log, and {path} needs that name for its own; "
                f"give another output, or move {log.name} away"
            )
        return files

    def finished(self, settings: Mapping[str, Any], load: Callable[[Path], Trained]) -> Trained | None:
        """What an earlier run with these settings made, None where none has finished.

        Raises:
            InvalidInput: For a checkpoint or a state of other settings, or another file of that name.
            Unsupported: For settings with an operator that no other process knows again.
        """
        if self.output is None or self.state is None:
            return None
        check_lasting(settings)
        if not self.output.exists():
            if self.state.exists():
                state.check_same(
                    self.state,
                    checkpoint.read_record(self.state, "training").get("settings"),
                    settings,
                    "an unfinished training",
                )
            return None
        record, _ = checkpoint.read(self.output, self.kind)
        article = "an" if self.kind[0] in "aeiou" else "a"
        state.check_same(
            self.output,
            dict(record.get("training") or {}).get("settings", {}),
            settings,
            f"{article} {self.kind} that was trained",
        )
        trained = load(self.output)
        self._clean(record)  # a run may have been killed between the checkpoint and the rest
        return trained

    def finish(self, save: Callable[[Path], None]) -> None:
        """Write the checkpoint by ``save(path)`` and the log, then remove the state, which they supersede."""
        if self.output is None:
            return
        save(self.output)
        self._clean(checkpoint.read_record(self.output, self.kind))

    def mend(self) -> None:
        """Write the log of a checkpoint again, where a call that was killed left none, or that of another."""
        if self.output is not None and self.output.exists():
            self._clean(checkpoint.read_record(self.output, self.kind))

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


def _is_log(path: Path, kind: str) -> bool:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("kind") == kind and "training" in record
