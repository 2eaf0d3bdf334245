"""Random numbers that come again: what would ask the system for a seed asks the session, where it has one.

A session without a seed draws from the system, as a fresh interpreter does. What asks the system itself (os.urandom,
secrets, uuid4) does so in any session, and so do processes that a cell starts.
"""

import random
import sys

from late_imports import on_import


def begin(seed: "int | None") -> None:
    """Seed the generators of the session, those of modules that it imports later included."""
    if seed is None:
        if numpy := sys.modules.get("numpy.random"):
            numpy.seed()
        if sympy := sys.modules.get("sympy.core.random"):
            sympy.rng.seed()
        return
    entropy = random.Random(f"{seed}, for generators without a seed").getrandbits
    _seed_random(seed, entropy)

    def numpy_random(module: object) -> None:
        # `default_rng()` and `seed()` ask this function; the entropy that a SeedSequence shows is the one it used.
        module.bit_generator.randbits = entropy
        module.seed(seed % 2**32)

    on_import(
        {
            "numpy.random": numpy_random,
            "sympy.core.random": lambda module: module.rng.seed(seed),
            "torch": lambda module: module.manual_seed(seed),
        }
    )


def _seed_random(seed: int, entropy: object) -> None:
    """The generator of the module `random`; and `Random()` and `seed()` without a seed, which temporary names use."""
    from_seed = random.Random.seed

    def seed_from(self, a=None, version=2):
        from_seed(self, entropy(256) if a is None else a, version)

    seed_from.__name__, seed_from.__doc__ = from_seed.__name__, from_seed.__doc__
    random.Random.seed = seed_from
    random.seed = random._inst.seed
    random.seed(seed)
