"""Checkpoints: what is written is read again bit for bit with its problem, and anything else is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import random

import pytest
import torch
from safetensors.torch import save_file

import fastip
from fastip import checkpoint, inverses, nets, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported

BETA = 0.02


def blur(boundary="circular", sigma=1.0, stride=2):
    return operators.Blur(psf.gaussian(5, sigma=sigma), stride=stride, boundary=boundary)


NETS = {
    "linear": lambda b, r: nets.InverseNet(channels=(3, 2), sizes=(3, 5), boundary=b, beta_range=r),
    "dilated": lambda b, r: nets.InverseNet(channels=(2, 2), sizes=(5, 3), dilations=(1, 2), boundary=b, beta_range=r),
    "paper": lambda b, r: nets.PaperInverseNet(channels=(4, 6), boundary=b, beta_range=r),
}


def make(kind="linear", boundary="circular", beta=BETA, dtype=torch.float32):
    """A random net near 1 / beta in size, with a record that is made up but for the fingerprint.

    What it says is carried, not judged.
    """
    op = blur(boundary)
    net = NETS[kind](nets.boundary_of(boundary), None if isinstance(beta, float) else beta).to(dtype)
    net.rescale(0.1)
    low, high = (beta, beta) if isinstance(beta, float) else beta
    made_up = [
        inverses.Certificate(kappa, low, low + more, least, relaxation=a)
        for a, (kappa, low, more, least) in zip((1.0, 1.5), torch.rand(2, 4).double().tolist(), strict=True)
    ]
    stored = tuple(inverses.Stored(b, c) for b in sorted({low, high}) for c in made_up) if net.linear else ()
    estimate = None if net.linear else 0.1 + torch.rand(1).item()
    return op, inverses.Learned(
        net, trained=inverses.Trained(op.fingerprint(), (low, high), torch.rand(1).item(), stored, estimate)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", [BETA, (1e-3, 0.3)])
@pytest.mark.parametrize(("kind", "boundary"), [("linear", "circular"), ("dilated", "valid"), ("paper", "reflect")])
def test_what_is_written_is_read(tmp_path, kind, boundary, beta, dtype):
    op, learned = make(kind, boundary, beta, dtype)
    path = tmp_path / "c.safetensors"
    checkpoint.save_inverse(path, learned, op=op, training={"steps": 7})
    back = checkpoint.load_inverse(path)
    assert (
        back.trained == learned.trained
        and type(back.net) is type(learned.net)
        and back.net.config() == learned.net.config()
    )
    assert not back.net.training and not any(p.requires_grad for p in back.net.parameters())
    for name, tensor in learned.net.state_dict().items():
        again = back.net.state_dict()[name]
        assert again.dtype == dtype and torch.equal(again, tensor)
    r = torch.randn(2, 3, 9, 7, dtype=dtype)
    assert torch.equal(back.net(r, 0.1), learned.net(r, 0.1))
    record = checkpoint.read_record(path)
    shape = record["operator"]["convolution"]
    assert torch.equal(torch.tensor(shape["psf"], dtype=torch.float64), op.psf) and (
        shape["stride"],
        shape["boundary"],
    ) == (2, boundary)
    assert record["training"] == {"steps": 7} and record["fastip"] == fastip.__version__
    assert os.listdir(tmp_path) == ["c.safetensors"]


def test_admm_takes_it_for_its_own_problem_only(tmp_path):
    op, path = blur(), tmp_path / "c.safetensors"
    net = NETS["linear"]("circular", None).requires_grad_(False)
    learned = inverses.Learned(net, trained=inverses.examine(net, op, BETA))
    checkpoint.save_inverse(path, learned, op=op)
    back = checkpoint.load_inverse(path)
    y = torch.rand(2, 1, 12, 11)
    prior = priors.L2(weight=0.1)
    one = fastip.admm(y, op, prior, beta=BETA, inverse=back, iterations=3)
    assert torch.equal(one.x, fastip.admm(y, op, prior, beta=BETA, inverse=learned, iterations=3).x)
    for other in (blur(sigma=1.01), blur("reflect"), blur(stride=1), 2.0 * op):
        with pytest.raises(InvalidInput, match="another operator"):
            fastip.admm(y, other, prior, beta=BETA, inverse=back, iterations=3)
    for beta in (BETA * 1.01, BETA / 2):
        with pytest.raises(InvalidInput, match="trained for 0.02"):
            fastip.admm(y, op, prior, beta=beta, inverse=back, iterations=3)


def test_admm_refuses_a_beta_outside_the_range(tmp_path):
    op, path = blur(), tmp_path / "c.safetensors"
    net = NETS["linear"]("circular", (0.01, 0.1))
    checkpoint.save_inverse(path, inverses.Learned(net, trained=inverses.examine(net, op, (0.01, 0.1))))
    back, y = checkpoint.load_inverse(path), torch.rand(1, 1, 12, 11)
    for beta in (0.01, 0.035, 0.1):
        fastip.admm(y, op, priors.L2(weight=0.1), beta=beta, inverse=back, iterations=2)
    for beta in (0.0099, 0.102):
        with pytest.raises(InvalidInput, match=r"0\.01 to 0\.1"):
            fastip.admm(y, op, priors.L2(weight=0.1), beta=beta, inverse=back, iterations=2)


# ---- what is refused -------------------------------------------------------------------------------------------------

# Each case rewrites a good file with a digest that fits, so that it is the case itself that is seen.


def rewritten(path, change):
    """The file again, with ``change(record, tensors)`` applied."""
    record, tensors = checkpoint.read(path, "inverse")
    kind = record.pop("kind")
    del record["digest"]
    change(record, tensors)
    checkpoint.write(path, record.pop("kind", kind), tensors, record)


def _set(*keys, value):
    def change(record, tensors):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


def _remove(*keys):
    def change(record, tensors):
        for key in keys[:-1]:
            record = record[key]
        del record[keys[-1]]

    return change


BAD = {
    "wrong kind": (_set("kind", value="prior"), "holds a trained prior; expected a trained inverse"),
    "unknown kind": (_set("kind", value="diffuser"), "holds 'diffuser'; expected a trained inverse"),
    "state of a training": (_set("kind", value="training"), "not finished"),
    "newer format": (_set("format", value=2), "has format 2.*upgrade"),
    "format that is no number": (_set("format", value="1"), "has format '1'"),
    "no format": (_set("format", value=None), "has format None"),
    "unknown net": (_set("net", "name", value="BetterNet"), "no network 'BetterNet'"),
    "unknown keyword": (_set("net", "config", "width", value=3), "width"),
    "channels that do not fit": (_set("net", "config", "channels", value=[3, 4]), r"kernels\.1 .*expected"),
    "fewer layers": (_set("net", "config", value={"channels": [3], "sizes": [3]}), r"unknown tensors .*kernels\.1"),
    "more layers": (
        _set("net", "config", value={"channels": [3, 2, 2], "sizes": [3, 5, 3]}),
        r"misses tensors .*kernels\.2",
    ),
    "channels beyond memory": (_set("net", "config", "channels", value=[10**7, 10**7]), "expected"),
    "channels beyond integers": (_set("net", "config", "channels", value=[10**20, 2]), "record|built"),
    "even size": (_set("net", "config", "sizes", value=[4, 5]), "odd"),
    "config is a list": (_set("net", "config", value=[1, 2]), "describes no network"),
    "no net": (_remove("net"), "describes no network"),
    "net is a text": (_set("net", value="InverseNet"), "describes no network"),
    "no trained": (_remove("trained"), "trained for"),
    "no fingerprint": (_remove("operator", "fingerprint"), "trained for"),
    "fingerprint is a number": (_set("operator", "fingerprint", value=5), "trained for"),
    "beta reversed": (_set("trained", "beta", value=[0.2, 0.1]), "trained for"),
    "beta negative": (_set("trained", "beta", value=[-1.0, 0.1]), "trained for"),
    "beta of one": (_set("trained", "beta", value=[0.1]), "trained for"),
    "accuracy is a text": (_set("trained", "accuracy", value="good"), "no finite number"),
    "accuracy is missing": (_remove("trained", "accuracy"), "trained for"),
    "certificate without kappa": (lambda r, t: r["trained"]["certificates"][0].pop("kappa"), "kappa"),
    "kappa is zero": (lambda r, t: r["trained"]["certificates"][0].update(kappa=0.0, smallest=0.1), "no certificate"),
    "kappa is negative": (
        lambda r, t: r["trained"]["certificates"][0].update(kappa=-1.0, smallest=0.1),
        "no certificate",
    ),
    "low above high": (lambda r, t: r["trained"]["certificates"][0].update(low=2.0, high=1.0), "no certificate"),
    "relaxation of 3": (lambda r, t: r["trained"]["certificates"][0].update(relaxation=3.0), "no certificate"),
    "accuracy beyond floats": (_set("trained", "accuracy", value=10**400), "no finite number"),
    "beta beyond floats": (_set("trained", "beta", value=[1, 10**400]), "no finite number"),
    "dilations beyond memory": (_set("net", "config", "dilations", value=[1, 10**9]), "at most 256"),
    "tensor of eight bits": (
        lambda r, t: t.update(log_scale=torch.tensor(1.0).to(torch.float8_e4m3fn)),
        "log_scale .*float8",
    ),
    "certificates are a number": (_set("trained", "certificates", value=3), "trained for"),
    "missing tensor": (lambda r, t: t.pop("log_scale"), "misses tensors .*log_scale"),
    "extra tensor": (lambda r, t: t.update(more=torch.zeros(2)), "unknown tensors .*more"),
    "misshapen tensor": (lambda r, t: t.update({"kernels.0": torch.zeros(3, 1, 3, 5)}), r"kernels\.0 .*\(3, 1, 3, 5\)"),
    "integer tensor": (lambda r, t: t.update(log_scale=torch.tensor(1)), "log_scale .*int64"),
    "NaN weights": (lambda r, t: t["kernels.1"].view(-1)[3:4].fill_(float("nan")), r"kernels\.1 .*NaN"),
    "infinite weights": (lambda r, t: t["log_floor"].fill_(float("inf")), "log_floor .*Inf"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_checkpoint_is_refused_with_the_reason(tmp_path, case):
    change, message = BAD[case]
    op, learned = make()
    path = tmp_path / "c.safetensors"
    checkpoint.save_inverse(path, learned, op=op)
    rewritten(path, lambda record, tensors: None)
    checkpoint.load_inverse(path)  # rewriting alone does no harm
    rewritten(path, change)
    with pytest.raises(InvalidInput, match=message) as caught:
        checkpoint.load_inverse(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_checkpoints(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "text.safetensors").write_text("these are not the weights you are looking for" * 9)
    torch.save({"a": torch.zeros(3)}, tmp_path / "torch.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "bare.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    for name, text in (("json", "{"), ("list", "[1]"), ("deep", "[" * 100000), ("null", "null")):
        save_file({"a": torch.zeros(3)}, tmp_path / f"{name}.safetensors", metadata={"fastip": text})
    cases = {
        "missing": "does not exist",
        "folder": "is a folder",
        "empty": "damaged",
        "text": "damaged",
        "torch": "damaged",
    }
    cases |= {
        "bare": "without a record",
        "other": "without a record",
        "json": "record",
        "list": "record",
        "deep": "record",
        "null": "record",
    }
    for name, message in cases.items():
        with pytest.raises(InvalidInput, match=message):
            checkpoint.load_inverse(tmp_path / f"{name}.safetensors")


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path):
    op, learned = make(beta=(0.01, 0.1))
    path = tmp_path / "c.safetensors"
    checkpoint.save_inverse(path, learned, op=op)
    data = path.read_bytes()
    for length in [0, 1, 7, 8, 9, len(data) - 1, *random.Random().sample(range(len(data)), 60)]:
        path.write_bytes(data[:length])
        with pytest.raises(InvalidInput):
            checkpoint.load_inverse(path)
    path.write_bytes(data + b"x")
    with pytest.raises(InvalidInput):
        checkpoint.load_inverse(path)


def test_a_flipped_bit_is_refused_wherever_it_is(tmp_path):
    """Weights and certificate belong together: a kappa that was read wrongly would vouch for a run that diverges."""
    op, learned = make()
    path = tmp_path / "c.safetensors"
    checkpoint.save_inverse(path, learned, op=op)
    data = path.read_bytes()
    seen = 0
    for at in random.Random().sample(range(len(data)), 200):
        changed = bytearray(data)
        changed[at] ^= 1 << random.randrange(8)
        path.write_bytes(changed)
        try:
            back = checkpoint.load_inverse(path)
        except InvalidInput:
            seen += 1
        else:  # white space or the spelling of the header, which carries nothing
            assert back.trained == learned.trained and all(
                torch.equal(a, b) for a, b in zip(back.net.parameters(), learned.net.parameters(), strict=True)
            )
    assert seen > 150


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_refused_and_leaves_the_old_file(tmp_path, monkeypatch):
    op, learned = make()
    path = tmp_path / "c.safetensors"
    checkpoint.save_inverse(path, learned)
    old = path.read_bytes()
    for bad, message in (
        (tmp_path / "c.pt", "suffix"),
        (tmp_path / "no" / "c.safetensors", "does not exist"),
        (tmp_path, "suffix"),
    ):
        with pytest.raises(InvalidInput, match=message):
            checkpoint.save_inverse(bad, learned)
    with pytest.raises(InvalidInput, match="examine"):
        checkpoint.save_inverse(path, inverses.Learned(learned.net))
    with pytest.raises(InvalidInput, match="another operator"):
        checkpoint.save_inverse(path, learned, op=blur(sigma=2.0))
    with pytest.raises(InvalidInput, match="Conv2d"):
        checkpoint.save_inverse(path, inverses.Learned(torch.nn.Conv2d(1, 1, 3), trained=learned.trained))
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        checkpoint.save_inverse(
            path, inverses.Learned(learned.net, trained=dataclasses.replace(learned.trained, accuracy=float("nan")))
        )

    def interrupted(*names):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save_inverse(path, learned, training={"new": 1})
    with torch.no_grad():
        learned.net.log_scale.fill_(float("nan"))
    with pytest.raises(InvalidInput, match="log_scale"):
        checkpoint.save_inverse(path, learned)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["c.safetensors"]


def test_without_safetensors_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(Unsupported, match="pip install"):
        checkpoint.load_inverse(tmp_path / "c.safetensors")


def test_the_record_is_plain_json(tmp_path):
    """Another program can read what the file is for without fastip."""
    op, learned = make()
    path = tmp_path / "c.safetensors"
    checkpoint.save_inverse(path, learned, op=op)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    record = json.loads(header["__metadata__"]["fastip"])
    assert record["operator"]["fingerprint"] == op.fingerprint() and record["trained"]["beta"] == [BETA, BETA]


def test_weights_that_changed_since_they_were_examined_are_not_written(tmp_path):
    op, learned = make()
    learned.net.rescale(2.0)
    with pytest.raises(InvalidInput, match="have changed"):
        checkpoint.save_inverse(tmp_path / "c.safetensors", learned, op=op)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), object(), 1j])
def test_a_record_that_is_no_json_is_refused(tmp_path, value):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InvalidInput, match="is not written: its record holds what JSON cannot"):
        checkpoint.write(path, "inverse", {}, {"value": value})
    assert not path.exists()
