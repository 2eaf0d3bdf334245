"""The part of the recipe that says where model-written code runs."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from records.recipe.section import Positive, Section

LibraryName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")]
Layer = Literal["namespaces", "no_network", "no_capabilities", "rlimits", "seccomp", "cgroups"]


class SandboxSettings(Section):
    """Where model-written code runs, and the limits of one session (docs/sandbox.md)."""

    # fmt: off
    ALWAYS_HASHED: ClassVar = (
        "libraries", "cell_timeout_s", "cpu_s", "cpus", "memory_mb", "processes", "output_chars", "images_per_call",
    )
    # fmt: on

    isolation: Literal["bubblewrap"] = "bubblewrap"
    """The program that builds the walls around a session."""
    minimum: list[Layer] = Field(default_factory=lambda: list(get_args(Layer)[:-1]))
    """The layers of isolation that must work; without one of them the run stops before any code runs."""
    libraries: list[LibraryName] = Field(
        default_factory=lambda: ["numpy", "PIL", "matplotlib", "sympy", "scipy", "pandas"]
    )
    """The libraries that the model is promised, by their import names. Every session has them imported already."""
    cell_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Wall-clock seconds that one call may take."""
    cpu_s: Positive = 60
    """CPU seconds that one session may use."""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """CPU seconds per second that one session may use. This limit needs cgroups."""
    memory_mb: Positive = 1024
    """Memory limit of one session in MB, not counting the shared libraries."""
    processes: Positive = 32
    """The most processes and threads of one session."""
    output_chars: Positive = 4000
    """The most characters of stdout, and of stderr, that one call returns; a note says where text was cut."""
    images_per_call: Positive = 4
    """The most images that one call returns."""
    image_min_side: Positive = 28
    """The fewest pixels of the shorter side of a result image. The model gets a note in place of a smaller one. Where
    it is not given it is that of the questions' images (`questions.images.min_side`), and likewise the next."""
    image_max_aspect: Annotated[float, Field(gt=1)] = 200.0
    """The largest ratio of longer side to shorter side of a result image."""
    sessions: Positive = 64
    """The most sessions that are open at once; further ones wait."""
    cells: Positive | None = None
    """The most calls that run at once; further ones wait, and waiting does not count as their time. Two per core when
    not given."""
    servers: list[str] = Field(default_factory=list)
    """URLs of sandbox servers (`touchstone sandbox serve`) that are used instead of this machine."""
