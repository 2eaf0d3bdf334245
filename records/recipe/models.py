"""The part of the recipe that says which model stands behind which role."""

import difflib
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from records.recipe.section import Positive, RecipeError, Section

RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Weights(Section):
    """Where the weights of a local model come from. The ways are tried in this order, and the first that is given and
    exists is used."""

    path: str | None = None
    """A Hugging Face model directory."""
    hub: str | None = None
    """A hub id."""
    revision: str = "main"
    """The revision of the hub id: a branch, a tag or a commit."""
    package: str | None = None
    """The name of a hash-checked set of package bytes (rollouts/models/weights.py lists them)."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.path or self.hub or self.package):
            raise ValueError("give at least one of path, hub, package")
        return self


class Serve(Section):
    """How a local vLLM server is started."""

    dtype: Literal["bfloat16", "float16", "float32", "auto"] = "auto"
    """The number format of the weights and activations."""
    max_model_len: Positive = 4096
    """The most tokens of one request: prompt and completion together."""
    max_num_seqs: Positive = 32
    """The most requests that the server works on at once."""
    enforce_eager: bool = False
    """Run without CUDA graphs: slower, but the server starts faster and needs less memory."""
    kv_cache_gib: Positive = 2
    """Memory for the KV cache in GiB. Only vLLM on a CPU uses this; a GPU server sizes its own cache."""
    extra_args: list[str] = Field(default_factory=list)
    """Further arguments of the server, such as ["--tensor-parallel-size", "4"]."""
    python: str | None = None
    """The interpreter of the environment that vLLM is installed in; the one that runs Touchstone when not given."""
    startup_timeout_s: Positive = 600
    """Seconds after which a server that does not answer counts as failed."""


class Model(Section):
    """An OpenAI-compatible endpoint: a URL, a server that Touchstone starts from weights, or the model of another
    role."""

    url: str | None = None
    """The address of the endpoint, such as http://host:8000/v1."""
    model: str | None = None
    """The name under which the endpoint serves the model; needed with url."""
    revision: str = ""
    """Whatever names the exact weights behind a url. It is part of the model's fingerprint."""
    api_key_env: str | None = None
    """The environment variable that holds the endpoint's key."""
    weights: Weights | None = None
    """The weights that a local server is started from."""
    serve: Serve = Serve()
    """How the local server is started."""
    same_as: RoleName | None = None
    """Another role, whose model this role uses."""
    sees_images: bool = False
    """Whether image blocks are sent. Without them, the prompt says that images can be read from Python."""
    concurrency: Positive = 32
    """The most requests in flight at once."""
    timeout_s: Positive = 300
    """Seconds after which a request counts as failed."""
    max_retries: Annotated[int, Field(ge=0)] = 6
    """How often a failed request is made again."""
    patience_s: Positive = 600
    """Seconds for which a request is made again while the endpoint says that it is asked too often, from its last
    answer to any request on."""
    finish_reasons: dict[str, Literal["stop", "length", "tool_calls", "filtered", "aborted"]] = Field(
        default_factory=dict
    )
    """What words of the endpoint's own for the end of a reply (finish_reason) mean; those of the usual servers are
    known."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.url, self.weights, self.same_as)) != 1:
            raise ValueError("give exactly one of url, weights, same_as")
        if self.url is not None and not self.model:
            raise ValueError("a url also needs model: the name the endpoint serves it under")
        return self


class ModelRoles(Section):
    """The models by their roles. A recipe may name any further role, such as a judge or a second teacher."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[RoleName, Model]

    policy: Model
    """The model that questions are measured on and that is trained."""
    teacher: Model = Model(same_as="policy")
    """The model that writes the cold-start trajectories."""

    def by_role(self) -> dict[str, Model]:
        """The models as the recipe gives them, by role; `policy` and `teacher` first."""
        return {"policy": self.policy, "teacher": self.teacher, **(self.__pydantic_extra__ or {})}

    def owner(self, name: str) -> str:
        """The role whose model the role `name` uses: the role itself, or the one that `same_as` leads to.

        Raises:
            RecipeError: there is no such role; the message lists those that there are.
        """
        given = self.by_role()
        if name not in given:
            raise RecipeError(f"models: there is no role {name!r}; known: {', '.join(given)}")
        other = given[name].same_as
        return self.owner(other) if other is not None else name

    def role(self, name: str) -> Model:
        """The model of a role. Raises RecipeError like `owner`."""
        return self.by_role()[self.owner(name)]

    @model_validator(mode="after")
    def _roles_lead_to_models(self) -> Self:
        given = self.by_role()
        if self.policy.same_as is not None:
            raise ValueError("policy: same_as is for the other roles; the policy needs url or weights")
        for name in given:
            for known in ("policy", "teacher"):
                if not name.startswith(known) and difflib.get_close_matches(name, [known], cutoff=0.85):
                    raise ValueError(f"{name}: did you mean {known!r}? A further role needs a name less like it")
            passed = [name]
            while (other := given[passed[-1]].same_as) is not None:
                if other not in given:
                    raise ValueError(f"{passed[-1]}.same_as: there is no role {other!r}; known: {', '.join(given)}")
                if other in passed:
                    raise ValueError(f"{name}.same_as: the roles lead in a circle: {' -> '.join([*passed, other])}")
                passed.append(other)
        return self
