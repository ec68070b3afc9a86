"""What every test shares: ``compiled`` refuses to skip, because a build that should have compiled kernels and lacks them has failed."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads make small tests ten times slower on a busy machine

import pytest

from fastip.kernels import native


@pytest.fixture(scope="session")
def compiled() -> object:
    """``fastip._C``; its absence is a failure unless FASTIP_ALLOW_REFERENCE=1 says that this installation has no compiler."""
    if native.why_missing():
        if os.environ.get("FASTIP_ALLOW_REFERENCE") == "1":
            pytest.skip(f"FASTIP_ALLOW_REFERENCE=1 and no compiled extension: {native.why_missing()}")
        pytest.fail(f"no compiled extension: {native.why_missing()}")
    from fastip import _C

    return _C


@pytest.fixture
def each_isa(compiled: object, request: pytest.FixtureRequest) -> object:
    """Runs the test on the instruction set that it is parametrised with (indirect), where this machine has it, then returns to the one before."""
    before = compiled.isa()  # type: ignore[attr-defined]
    if request.param not in compiled.isas():  # type: ignore[attr-defined]
        pytest.skip(f"this machine or compiler has no {request.param}")
    compiled.use_isa(request.param)  # type: ignore[attr-defined]
    yield request.param
    compiled.use_isa(before)  # type: ignore[attr-defined]
