"""What a recipe accepts, and what a machine offers."""

import pytest

from records.recipe import SandboxSettings
from sandbox import LocalSandbox, SandboxUnavailable, check_isolation
from sandbox.walls import cgroups, seccomp
from sandbox.walls import isolation as layers

ALL = ["namespaces", "no_network", "no_capabilities", "rlimits", "seccomp", "cgroups"]


@pytest.fixture
def bare(monkeypatch):
    """A machine without control groups, whose system calls nobody knows."""
    monkeypatch.setattr(layers, "_proved", {})
    monkeypatch.setattr(layers, "find_cgroups", lambda: (None, "none today"))
    monkeypatch.setattr(seccomp, "ARCHITECTURES", {})


@pytest.mark.parametrize(
    ("minimum", "missing"),
    [(ALL, "'seccomp'"), (["seccomp"], "'seccomp'"), (["cgroups"], "'cgroups' .none today"), (ALL[:5], "'seccomp'")],
)
async def test_below_the_minimum_nothing_runs(bare, minimum, missing):
    with pytest.raises(SandboxUnavailable, match=f"{missing}.*sandbox.minimum"):
        await LocalSandbox(SandboxSettings(minimum=minimum)).open()


async def test_a_recipe_may_do_without(bare):
    found = await layers.find_layers(SandboxSettings(minimum=[]))
    assert found.names == tuple(ALL[:4]) and set(found.missing) == {"seccomp", "cgroups"}
    async with await LocalSandbox(SandboxSettings(minimum=["namespaces"])).open() as session:
        status = await session.run("dict(l.split(':', 1) for l in open('/proc/self/status') if ':' in l)['Seccomp']")
        assert status.value.strip("'\\nt ") == "0"


def test_layers_are_proved_with_the_real_thing():
    found = check_isolation(SandboxSettings())
    assert set(ALL[:5]) <= set(found.names)
    assert (found.cgroups is not None) == ("cgroups" in found.names) == (cgroups.find_cgroups()[0] is not None)


def test_a_layer_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="minimum"):
        SandboxSettings(minimum=["walls"])
