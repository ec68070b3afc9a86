"""The long training on a GPU, without one: its patches, its steps, its parts however it ends, and the way back."""

from __future__ import annotations

import importlib
import os
import pathlib
import random
import signal
import sys
from contextlib import nullcontext, suppress
from functools import partial
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from cases.photographs import Shades, shade, small
from fastip import checkpoint, priors
from fastip.checkpoint import shipped
from fastip.data import reduced
from fastip.errors import InvalidInput
from fastip.train.engine import long_training, loop, state
from fastip.train.engine.summary import summarise
from fastip.train.recipes import photo_denoiser

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
STEPS = 12
TURNS = range(8)


STAGES = photo_denoiser.Stage(0.0, 2, 8), photo_denoiser.Stage(0.5, 3, 12)
VALIDATION = [shade(-1, 20)[None], shade(-2, 14)[None]]
PHOTOGRAPHS = [(255 * shade(-k, 40 + k)).round().byte().permute(1, 2, 0).numpy() for k in range(3, 6)]
PLANNED = {"steps": STEPS, "stages": STAGES, "precision": "32-true", "warm_up": 4}
OWN = PLANNED | {"pictures": Shades(8), "validation": VALIDATION, "look_every": 100}


def imported(name: str) -> ModuleType:
    before = list(sys.path)
    sys.path.insert(0, str(BENCH))
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before


gpu_train, gpu_steps = imported("gpu_train"), imported("gpu_steps")
gpu_state, gpu_photographs = imported("gpu_state"), imported("gpu_photographs")
LITTLE = gpu_state.HEADER + 3000  # bytes of a part: the small network's weights take several, and some are cut


@pytest.fixture
def at(tmp_path, monkeypatch):
    """An empty cache and a small network; the value is the folder of the long training."""
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(photo_denoiser, "network", small)
    return long_training.folder("photo-denoiser")


@pytest.fixture
def pack(tmp_path, at):
    path = tmp_path / "pack.safetensors"
    gpu_photographs.pack(path, PHOTOGRAPHS, VALIDATION, gpu_state.planned(Shades(8), **PLANNED), 200_000)
    return path


def go_on(upto: int | None = None):
    """The CPU's training, stopped after so many steps; its state then."""

    def report(done: int, loss: float) -> None:
        if upto is not None and done == upto - 1:
            os.kill(os.getpid(), signal.SIGINT)

    if upto is None:
        return long_training.go_on(
            "photo-denoiser", train=partial(photo_denoiser.train_photo_denoiser, **OWN), progress=False
        )
    with pytest.raises(KeyboardInterrupt):
        long_training.go_on(
            "photo-denoiser", train=partial(photo_denoiser.train_photo_denoiser, **OWN), progress=False, report=report
        )
    return checkpoint.read(gpu_state.home(), "training")


def run(pack, folder, *, seconds=60.0, stop=None, out=None, number=signal.SIGINT):
    """Some steps on this CPU; a signal when a line of output begins with ``stop``."""
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if stop is not None and text.startswith(stop):
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt) if stop is not None else nullcontext():
        gpu_train.train(seconds, pack, folder, out, torch.device("cpu"), say)
    return said


def same(one, two) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


# ---- patches ---------------------------------------------------------------------------------------------------------


def numbered(index: int, h: int, w: int) -> np.ndarray:
    """A picture whose pixels say where they are: row, column, number of the picture."""
    rows, columns = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    return np.stack([rows, columns, np.full((h, w), index)], axis=2).astype(np.uint8)


def test_patches_are_turned_parts_of_the_pictures():
    pictures = [numbered(0, 20, 31), numbered(1, 9, 60), numbered(2, 17, 12)]  # the second is too small for a patch
    patches = gpu_photographs.Photographs(pictures, torch.device("cpu")).patches(12)
    seen = set()
    torch.manual_seed(0)
    for patch in patches(600).mul(255).round().byte().permute(0, 2, 3, 1).numpy():
        which, (top, left) = int(patch[0, 0, 2]), patch[..., :2].reshape(-1, 2).min(0)
        part = pictures[which][top : top + 12, left : left + 12]
        found = [turn for turn in TURNS if np.array_equal(patch, reduced._turned(part, turn))]
        assert len(found) == 1
        seen.add((which, found[0], int(top)))
    assert {(which, turn) for which, turn, _ in seen} == {(which, turn) for which in (0, 2) for turn in TURNS}
    assert {top for which, _, top in seen if which == 0} == set(range(9))  # up to the last row that holds a patch
    with pytest.raises(InvalidInput, match="holds a patch of 32 x 32"):
        gpu_photographs.Photographs(pictures, torch.device("cpu")).patches(32)


def test_detail_and_turns_are_those_of_the_training_here():
    generator = np.random.default_rng(1)
    pictures = [generator.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((15, 19), (13, 11))]
    patches = gpu_photographs.Photographs(pictures, torch.device("cpu")).patches(11)
    which, row, column = torch.tensor([0, 1] * 4), torch.tensor([4, 2] * 4), torch.tensor([7, 0] * 4)
    parts = [p[r : r + 11, c : c + 11] for p, r, c in ((pictures[0], 4, 7), (pictures[1], 2, 0))]
    assert patches.detail(which, row, column).tolist() == [reduced._detail(part) for part in parts] * 4
    taken = patches.taken(which, row, column, torch.arange(8)).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    for turn, patch in enumerate(taken):
        assert np.array_equal(patch, reduced._turned(parts[turn % 2], turn))


def test_half_of_the_patches_seek_detail_and_pictures_count_by_their_side():
    picture = np.zeros((8, 1008, 3), np.uint8)
    picture[:, 504:] = np.random.default_rng(0).integers(0, 256, (8, 504, 3))
    torch.manual_seed(0)
    device = torch.device("cpu")
    drawn = gpu_photographs.Photographs([picture], device).patches(8)(4000)
    busy = float((drawn.flatten(1).std(dim=1) > 0).float().mean())
    assert abs(busy - (0.5 * 0.5 + 0.5 * 0.75)) < 0.035
    sides = [numbered(0, 20, 20), numbered(1, 40, 40)]
    large = float((gpu_photographs.Photographs(sides, device).patches(8)(4000)[:, 2, 0, 0] > 0).float().mean())
    assert abs(large - 2 / 3) < 0.035


def test_levels_are_half_uniform_half_log_uniform():
    patches = gpu_photographs.Photographs(PHOTOGRAPHS, torch.device("cpu")).patches(2)
    torch.manual_seed(0)
    x, e, levels, n = gpu_steps.drawn(patches, 8000, (0.003, 0.3))
    assert x.shape == e.shape == (8000, 3, 2, 2) and n.numel() == 0
    assert 0.003 <= float(levels.min()) and float(levels.max()) <= 0.3
    assert abs(float(levels[::2].median()) - 0.1515) < 0.01
    assert abs(float(levels[1::2].log10().median()) + 1.523) < 0.06
    assert abs(float(e.mean())) < 0.02 and abs(float(e.std()) - 1) < 0.02


# ---- the pack --------------------------------------------------------------------------------------------------------


def test_a_pack_fits_and_gives_back_what_it_was_made_of(tmp_path):
    path = tmp_path / "a.safetensors"
    generator = np.random.default_rng(0)
    rough = [np.clip(p + generator.normal(0, 20, p.shape), 0, 255).astype(np.uint8) for p in PHOTOGRAPHS]
    best = gpu_photographs.pack(path, rough, VALIDATION, {"steps": 3}, 200_000)
    assert best.quality == gpu_photographs.QUALITIES[-1] and best.photographs == 3 and best.validation == 2
    held = gpu_photographs.unpack(path)
    assert held.settings == {"steps": 3} and [p.shape for p in held.photographs] == [p.shape for p in rough]
    assert all(np.abs(a.astype(int) - b).mean() < 3 for a, b in zip(held.photographs, rough, strict=True))
    assert all((a - b).abs().max() <= 0.5 / 255 + 1e-6 for a, b in zip(held.validation, VALIDATION, strict=True))
    least = gpu_photographs.ROOM + sum(len(gpu_photographs._png(x)) for x in VALIDATION)
    files = [sum(len(gpu_photographs._jpeg(p, q)) for p in rough) for q in (50, 51)]
    fitted = gpu_photographs.pack(path, rough, VALIDATION, {"steps": 3}, least + files[0])
    assert fitted.quality == 50 and files[1] > files[0]
    assert fitted.bytes == path.stat().st_size <= least + files[0]


def test_a_pack_that_does_not_fit_is_not_written(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InvalidInput, match="3 photographs take .* at quality 30, more than"):
        gpu_photographs.pack(path, PHOTOGRAPHS, [], {}, gpu_photographs.ROOM + 100)
    assert not list(tmp_path.iterdir())
    large = [torch.rand(1, 3, 90, 90)]  # noise: 24 kB, more than a quarter of the file
    assert gpu_photographs.pack(path, PHOTOGRAPHS, large, {}, gpu_photographs.ROOM + 40_000).validation == 0
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InvalidInput, match="damaged"):
        gpu_photographs.unpack(path)


def test_what_is_packed_is_seen_at_several_reductions():
    found = gpu_photographs.scales([PHOTOGRAPHS[0], PHOTOGRAPHS[0][:22]], 20)
    assert [p.shape[:2] for p in found] == [(43, 43), (28, 28), (21, 21), (22, 43)]
    assert np.array_equal(found[2], reduced.reduced(PHOTOGRAPHS[0], 2))


def test_its_settings_are_those_of_the_state(at):
    record, _ = go_on(3)
    assert gpu_state.planned(Shades(8), **PLANNED) == record["settings"]


# ---- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [2, 5])
def test_a_step_is_the_step_of_the_training_here(at, tmp_path, step):
    go_on(step)
    gpu_state.split(gpu_state.home(), tmp_path / "parts", limit=LITTLE)
    record, expected = go_on(step + 2)
    descent = gpu_steps.Descent(gpu_state.read_parts(tmp_path / "parts"), torch.device("cpu"))
    assert descent.history.step == step
    feed = photo_denoiser.Feed(Shades(8), STAGES, STEPS, photo_denoiser.LEVELS, 0)
    for number in (step, step + 1):
        descent.prepare(number)
        loss = descent.step(feed(number, 0))
        assert abs(float(loss) - dict(map(tuple, record["progress"]["losses"]))[number]) < 1e-5
    found = descent.kept().tensors
    assert found.keys() == expected.keys() and len(found) > 40
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, rtol=1e-4, atol=1e-6 if "exp_avg_sq" not in name else 1e-9), name
    weights = {name: tensor for name, tensor in expected.items() if name.startswith("module.")}
    assert max(float((found[name] - tensor).abs().max()) for name, tensor in weights.items()) < 1e-6


def test_the_learning_rate_rises_anew_where_adam_began_anew(at, pack):
    kept = gpu_state.begun(gpu_state.planned(Shades(8), **PLANNED), lambda text: None)
    kept.history.step = kept.history.since = 6
    descent = gpu_steps.Descent(kept, torch.device("cpu"))
    descent.prepare(7)
    rate = descent.adam.param_groups[0]["lr"]
    assert rate == pytest.approx(2 / 4 * loop.schedule.learning_rate(7, STEPS, 1e-3))
    assert float(descent.share) == pytest.approx(1 - 8 / 17)


@pytest.fixture
def ended():
    """SIGTERM does what SIGINT does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_trains_is_stopped_and_goes_on(at, pack, tmp_path, ended, number):
    folder, out = tmp_path / "state", tmp_path / "out"
    said = run(pack, folder, stop="step 1 ", out=out, number=number)
    assert any("begins from nothing" in line for line in said) and not any("score" in line for line in said)
    first = gpu_state.read_parts(out)
    assert first.history.step == 1 and first.history.starts == 1 and not first.history.scores
    said = run(pack, folder, out=out)
    assert any(line.startswith("from step 6 on: 3 patches of 12 x 12") for line in said)
    assert not any("begins from nothing" in line for line in said)
    kept, copied = gpu_state.read_parts(folder), gpu_state.read_parts(out)
    assert same(kept.tensors, copied.tensors) and kept.history == copied.history
    history = kept.history
    assert history.step == STEPS and history.starts == 2 and [step for step, _ in history.losses] == list(range(STEPS))
    assert [step for step, _ in history.scores] == [STEPS - 1] and history.machines[0].device == "cpu"
    assert float(kept.tensors["adam.0.step"]) == STEPS and 0 < history.seconds < 60
    assert not same(first.tensors, kept.tensors) and len(list(out.iterdir())) == 1
    assert run(pack, folder)  # at the end: nothing more is trained, nothing is scored twice
    again = gpu_state.read_parts(folder)
    assert same(again.tensors, kept.tensors) and again.history.scores == history.scores


def test_it_ends_in_time(at, pack, tmp_path):
    said = run(pack, tmp_path / "state", seconds=0.0)
    assert gpu_state.read_parts(tmp_path / "state").history.step == 1 and said[-1].startswith("step 1: kept")


def test_it_begins_from_the_shipped_weights(at, pack, tmp_path, monkeypatch):
    record, _ = go_on(7)
    prior = priors.PixelShuffleAutoencoder(small(), trained=priors.Trained(photo_denoiser.LEVELS))
    training = summarise(record["settings"], state.History.read(record["progress"]), torch.device("cpu"))
    (tmp_path / "package" / "priors").mkdir(parents=True)
    path = tmp_path / "package" / "priors" / "photo-denoiser.safetensors"
    checkpoint.save_prior(path, prior, training=training)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    kept = gpu_state.begun(record["settings"], lambda text: None)
    assert kept.history.step == kept.history.since == 7 and kept.history.losses
    weights = {f"module.{part}.{n}": t for part in ("net", "average") for n, t in prior.net.state_dict().items()}
    assert same(kept.tensors, weights)
    run(pack, tmp_path / "state", stop="step 8 ")
    found = gpu_state.read_parts(tmp_path / "state")
    assert found.history.step == 8 and float(found.tensors["adam.0.step"]) == 1
    other = record["settings"] | {"net": {"name": "PixelShuffleAutoencoder", "config": {"widths": [2]}}}
    with pytest.raises(InvalidInput, match="another shape; pack again"):
        gpu_state.begun(other, lambda text: None)


def test_a_loss_that_is_no_number_ends_it_and_the_state_before_stays(at, pack, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_train, "SAVE", 0.0)
    real, seen = gpu_steps.drawn, []

    def spoilt(*about):
        x, *rest = real(*about)
        seen.append(1)
        return x * (float("nan") if len(seen) == 5 else 1.0), *rest

    monkeypatch.setattr(gpu_steps, "drawn", spoilt)
    with pytest.raises(loop.Diverged, match="nan after 5 steps"):
        run(pack, tmp_path / "state")
    kept = gpu_state.read_parts(tmp_path / "state")
    assert kept.history.step == 4 and all(bool(torch.isfinite(t).all()) for t in kept.tensors.values())


class Graphs:
    """In place of CUDA's: within ``capture`` nothing runs, and a replay is counted. ``broken``: capturing fails."""

    def __init__(self, broken: bool) -> None:
        self.broken, self.log, self.capturing = broken, [], False
        self.settings = gpu_state.planned(Shades(8), **PLANNED)
        self.device = SimpleNamespace(type="cuda")
        self.adam = SimpleNamespace(zero_grad=lambda set_to_none: None)

    def prepare(self, step):
        self.log.append(f"prepare {step}")

    def step(self, values):
        if self.capturing and self.broken:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        self.log.append("captured" if self.capturing else "eager")
        return torch.tensor(0.0)

    def replay(self):
        self.log.append("replayed")

    def capture(self, graph, stream):
        self.capturing = True
        return self

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.capturing = False


@pytest.mark.parametrize("broken", [False, True])
def test_a_step_is_captured_once_for_each_stage(at, monkeypatch, broken):
    graphs, said = Graphs(broken), []
    monkeypatch.setattr(gpu_steps, "drawn", lambda patches, batch, levels: None)
    for name, value in {"CUDAGraph": lambda: graphs, "graph": graphs.capture}.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    photographs = gpu_photographs.Photographs(PHOTOGRAPHS, torch.device("cpu"))
    steps = gpu_steps.Steps(graphs, photographs, said.append)
    for step in range(STEPS):
        steps(step)
    done = [word for word in graphs.log if not word.startswith("prepare")]
    of_a_stage = ["eager"] * 3 + ["captured"] + ["replayed"] * 3
    assert done == (["eager"] * 12 if broken else of_a_stage * 2)
    assert [word for word in graphs.log if word.startswith("prepare")] == [f"prepare {step}" for step in range(STEPS)]
    assert sum("NO GRAPH" in line and "not permitted" in line for line in said) == (1 if broken else 0)


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_split_and_joined_to_the_same_bits(at, tmp_path):
    record, tensors = go_on(5)
    folder = tmp_path / "parts"
    paths, history = gpu_state.split(gpu_state.home(), folder, limit=LITTLE)
    assert len(paths) > 3 and sorted(folder.iterdir()) == sorted(paths) and history.step == 5
    assert max(path.stat().st_size for path in paths) <= LITTLE
    pieces = [name for path in paths for name in checkpoint.read(path, gpu_state.KIND)[1]]
    assert any(not name.endswith("@0") for name in pieces)  # a tensor was cut
    original = gpu_state.home().rename(tmp_path / "original.safetensors")
    assert gpu_state.join(folder).step == 5
    joined_record, joined = checkpoint.read(gpu_state.home(), "training")
    assert same(joined, tensors) and all(joined_record[key] == record[key] for key in ("settings", "progress"))
    assert not list(at.glob("joined*"))
    finished = go_on()
    (at / "photo-denoiser.safetensors").unlink()
    original.rename(gpu_state.home())
    assert same(finished.net.state_dict(), go_on().net.state_dict())  # the joined state is as good as the one before


def test_light_parts_are_weights_alone_and_adam_begins_anew(at, pack, tmp_path):
    go_on(5)
    paths, history = gpu_state.split(gpu_state.home(), tmp_path / "parts", light=True)
    kept = gpu_state.read_parts(tmp_path / "parts")
    assert len(paths) == 1 and history.since == kept.history.since == 5
    assert {name.partition(".")[0] for name in kept.tensors} == {"module"}
    run(pack, tmp_path / "parts", stop="step 6 ")
    found = gpu_state.read_parts(tmp_path / "parts")
    assert found.history.step == 6 and float(found.tensors["adam.0.step"]) == 1
    assert gpu_state.join(tmp_path / "parts").since == 5
    record, tensors = go_on(8)
    assert record["progress"]["since"] == 5 and float(tensors["adam.0.step"]) == 3


class Killed(BaseException):
    """The process is gone."""


def broken_at(monkeypatch, count):
    """The call of that number that changes a file in a folder of parts ends the process before it acts."""
    done = []

    def counted(real):
        def call(*args, **kwargs):
            done.append(1)
            if len(done) == count:
                raise Killed
            return real(*args, **kwargs)

        return call

    copy, remove = (gpu_state.shutil, "copyfile"), (pathlib.Path, "unlink")
    for place, name in ((os, "replace"), (checkpoint, "write"), copy, remove):
        monkeypatch.setattr(place, name, counted(getattr(place, name)))


def test_whenever_it_is_killed_one_state_is_whole(at, tmp_path, monkeypatch):
    go_on(3)
    folders = [tmp_path / "state", tmp_path / "out"]
    old = checkpoint.read(gpu_state.home(), "training")
    gpu_state.split(gpu_state.home(), folders[0], limit=gpu_state.HEADER + 10_000)
    kept = gpu_state.read_parts(folders[0])
    old_parts = gpu_state.write_parts(folders, kept, gpu_state.HEADER + 5_000)
    history = state.History(4, 1.0, 1)
    new = gpu_state.Kept(kept.settings, {name: tensor + 1 for name, tensor in kept.tensors.items()}, history)
    newer = gpu_state.Kept(
        kept.settings, {name: tensor + 2 for name, tensor in kept.tensors.items()}, state.History(5, 1.0, 1)
    )
    ends = set()
    for count in range(1, 200):
        with monkeypatch.context() as patch:
            broken_at(patch, count)
            try:
                gpu_state.write_parts(folders, new, gpu_state.HEADER + 10_000)
                break
            except Killed:
                pass
        for folder in folders:
            found = gpu_state.read_parts(folder)
            assert found.history.step in (3, 4)
            assert same(found.tensors, old[1] if found.history.step == 3 else new.tensors)
            ends.add((folder.name, found.history.step))
        for second in random.sample(range(1, 40), 3):  # and killed again while it writes the next state
            with monkeypatch.context() as patch:
                broken_at(patch, second)
                with suppress(Killed):
                    gpu_state.write_parts(folders, newer, gpu_state.HEADER + 7_000)
            for folder in folders:
                found = gpu_state.read_parts(folder)
                assert same(found.tensors, {3: old[1], 4: new.tensors, 5: newer.tensors}[found.history.step])
        gpu_state.write_parts(folders, kept, gpu_state.HEADER + 5_000)
        assert all(gpu_state.read_parts(folder).history.step == 3 for folder in folders)
    else:
        raise AssertionError("it never ended")
    assert ends == {(name, step) for name in ("state", "out") for step in (3, 4)}
    for folder in folders:
        count = len(list(folder.iterdir()))
        names = {f"photo-denoiser.part-{number}.safetensors" for number in range(count)}
        assert {path.name for path in folder.iterdir()} == names and 1 < count < len(old_parts)  # none of those before


def test_of_two_whole_states_the_one_with_more_steps_is_read(at, tmp_path):
    folder = tmp_path / "parts"
    kept = gpu_state.begun(gpu_state.planned(Shades(8), **PLANNED), lambda text: None)
    for step in (6, 4):
        kept.history.step = step
        gpu_state.write_parts([folder], kept)
        other = tmp_path / "other"
        kept.history.step = 5
        gpu_state.write_parts([other], kept)
        assert len(list(other.iterdir())) == 1
        os.replace(other / gpu_state._name(0), folder / gpu_state._name(0, new=True))
        assert gpu_state.read_parts(folder).history.step == max(step, 5)


def test_what_cannot_be_joined_is_refused(at, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    with pytest.raises(InvalidInput, match="holds no parts"):
        gpu_state.join(folder)
    with pytest.raises(InvalidInput, match="there is no state .* begins from the shipped weights"):
        gpu_state.split(gpu_state.home(), folder)
    go_on(4)
    paths, _ = gpu_state.split(gpu_state.home(), folder, limit=LITTLE)
    kept = gpu_state.read_parts(folder)
    before = gpu_state.home().read_bytes()
    with pytest.raises(InvalidInput, match="is at step 4 and the parts are at step 4: nothing is joined"):
        gpu_state.join(folder)
    kept.history.step = 9
    other = gpu_state.Kept(dict(kept.settings) | {"seed": 1}, kept.tensors, kept.history)
    gpu_state.write_parts([folder], other, LITTLE)
    with pytest.raises(InvalidInput, match="with other settings: seed 0 there, 1 asked for"):
        gpu_state.join(folder)
    lacking = {name: tensor for name, tensor in kept.tensors.items() if "average" not in name}
    gpu_state.write_parts([folder], gpu_state.Kept(kept.settings, lacking, kept.history), LITTLE)
    with pytest.raises(InvalidInput, match="Missing key"):
        gpu_state.join(folder)
    with long_training.alone(at), pytest.raises(long_training.Busy):
        gpu_state.join(folder)
    assert gpu_state.home().read_bytes() == before and not list(at.glob("joined*"))
    gpu_state.write_parts([folder], kept, LITTLE)
    paths[1].unlink()
    with pytest.raises(InvalidInput, match=rf"no state whole \({len(paths) - 1} of {len(paths)}\)"):
        gpu_state.join(folder)


def test_the_command_line_tells_troubles_in_a_line(at, pack, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu_train, "interruptible", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_train.main(["train", "5", "--pack", str(pack), "--state", str(tmp_path)]) == gpu_train.NO_DEVICE
    assert "no CUDA device answers" in capsys.readouterr().out
    assert gpu_train.main(["join", str(tmp_path / "none")]) == 1
    assert "InvalidInput: " in capsys.readouterr().err
    assert gpu_train.main(["carry", str(tmp_path)]) == 1
    assert "must lie in the checkout" in capsys.readouterr().err


def test_what_travels_is_counted(tmp_path):
    root = tmp_path / "checkout"
    (root / "build" / "parts").mkdir(parents=True)
    (root / "a.py").write_bytes(bytes(100))
    (root / ".gitignore").write_text("/build/\n")
    for name, size in (("pack", 3000), ("parts/one", 500), ("parts/two", 700), ("other", 10_000)):
        (root / "build" / name).write_bytes(bytes(size))
    gpu_train.gpu_carry.subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    lines, total = gpu_train.carried([root / "build" / "pack", root / "build" / "parts"], [], root)
    assert total == 100 + 8 + 3000 + 500 + 700 and 'carry: ["build/pack", "build/parts"]' in lines
