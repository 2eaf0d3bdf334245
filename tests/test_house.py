"""The rules of the house (CONTRIBUTING.md): who may import whom, how long things are, and one name for one thing.

The exceptions below are what does not keep a rule yet. They may only shrink: one that is no longer needed fails too.
"""

import ast
import functools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = (
    "pipelines", "assets", "training", "measurement", "reports", "rollouts", "sandbox", "filters", "sources",
    "verdicts", "records",
)  # fmt: skip
"""The rooms, from the top: an import points down this list."""
FORBIDDEN = {
    "measurement": {"reports", "sources"},
    "reports": {"sandbox", "sources", "training"},
    "rollouts": {"filters", "sources"},
    "sandbox": {"filters", "sources", "verdicts"},
    "filters": {"sources"},
    "sources": {"verdicts"},
}
"""Rooms further down that a room has no business with."""
SUB_ROOMS = {
    "rollouts/models": {"records", "rollouts.models"},
    "rollouts/ledger": {"records", "rollouts.ledger"},
    "rollouts/dialects": {"records", "rollouts.dialects", "rollouts.models.contract"},
    "rollouts/tools": {"records", "sandbox", "rollouts.tools"},
    "rollouts/prompts": {"records", "rollouts.prompts", "rollouts.dialects", "rollouts.tools", "rollouts.withheld"},
    "rollouts/judges": {
        "records",
        "verdicts",
        "rollouts.judges",
        "rollouts.models",
        "rollouts.ledger",
        "rollouts.tool_calls",
    },
}
"""Everything of ours that the files of a sub-room may import."""
DAGSTER = ("assets", "pipelines")
PLUGINS = (
    "sources/loaders", "rollouts/dialects", "rollouts/tools", "rollouts/judges", "filters/trajectories",
    "filters/selection", "training/formats", "training/products", "measurement/arms",
)  # fmt: skip
"""Folders that hold one module per thing; what is private to one of them begins with an underscore."""
MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 60, 6

LONG_FILES = {"benchmarks/questions/images.py", "filters/duplicates/kernels/question_words.py"}
LONG_FUNCTIONS = {"filters/duplicates/kernels/question_words.py:write_words"}
MANY_PARAMETERS = {
    "assets/evaluation.py:evaluation",  # the asset's inputs are its parameters
    "benchmarks/rollout_throughput.py:compare",
    "filters/duplicates/kernels/hamming.py:earliest_alike",
    "filters/duplicates/kernels/minhash.py:candidates",
    "filters/duplicates/kernels/minhash.py:gap_keys",
    "filters/duplicates/kernels/same_words.py:verify",
}


@functools.cache
def files(*rooms):
    """Path and syntax tree of each file of these rooms; programs that run behind the sandbox's walls stand alone."""
    paths = (path for room in rooms for path in sorted((ROOT / room).rglob("*.py")))
    found = [path.relative_to(ROOT) for path in paths if "inside" not in path.relative_to(ROOT).parts[:2]]
    return {str(path): ast.parse((ROOT / path).read_text()) for path in found}


def imported(tree):
    """The dotted names that a file imports from anywhere in it: modules, and names out of modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name):
    return name.split(".")[0]


@pytest.mark.parametrize("room", ORDER)
def test_imports_point_down(room):
    allowed = set(ORDER[ORDER.index(room) :]) - FORBIDDEN.get(room, set())
    assert files(room)
    for path, tree in files(room).items():
        wrong = {name for name in imported(tree) if room_of(name) in ORDER and room_of(name) not in allowed}
        assert not wrong, f"{path} imports {sorted(wrong)}"


def test_dagster_is_imported_in_two_rooms_only():
    for path, tree in files(*(room for room in ORDER if room not in DAGSTER)).items():
        assert "dagster" not in set(map(room_of, imported(tree))), f"{path} imports Dagster"


@pytest.mark.parametrize("place", SUB_ROOMS)
def test_a_sub_room_imports_what_it_may(place):
    if not (ROOT / place).exists():
        pytest.fail(f"{place} is gone: take it off the list")
    for path, tree in files(place).items():
        ours = {name for name in imported(tree) if room_of(name) in ORDER}
        wrong = {name for name in ours if not any(f"{name}.".startswith(f"{may}.") for may in SUB_ROOMS[place])}
        assert not wrong, f"{path} imports {sorted(wrong)}"


def test_only_the_caches_of_the_filters_read_and_write_files():
    for path, tree in files("filters").items():
        if not path.startswith("filters/caches/"):
            assert not {"fsspec"} & set(map(room_of, imported(tree))), f"{path} imports fsspec"


def test_a_private_module_is_imported_from_its_own_folder_only():
    for path, tree in files(*ORDER).items():
        for name in imported(tree):
            parts = name.split(".")
            for depth, part in enumerate(parts[1:], 1):
                hidden = part.startswith("_") and room_of(name) in ORDER
                if hidden and (ROOT.joinpath(*parts[: depth + 1]).with_suffix(".py")).exists():
                    assert str(Path(path).parent) == "/".join(parts[:depth]), f"{path} imports {name}"


def test_there_is_no_circle_of_imports():
    modules = {path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path for path in files(*ORDER)}

    def targets(path):
        """Modules that are imported when this one is: imports within functions come later."""
        body = [node for node in ast.walk(files(*ORDER)[path]) if isinstance(node, ast.Import | ast.ImportFrom)]
        inner = {
            id(node)
            for function in ast.walk(files(*ORDER)[path])
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        for node in body:
            if id(node) not in inner:
                for name in imported(ast.Module([node], [])):
                    found = name if name in modules else name.rpartition(".")[0]
                    if found in modules:
                        yield found

    graph = {module: set(targets(path)) - {module} for module, path in modules.items()}
    while leaves := [module for module, needs in graph.items() if not needs & set(graph)]:
        for leaf in leaves:
            del graph[leaf]
    assert not graph, f"these import each other: {sorted(graph)}"


def test_class_names_are_unique():
    where = defaultdict(list)
    for path, tree in files(*ORDER, "benchmarks").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name != "Options":  # each plug-in has its own Options
                where[node.name].append(path)
    assert not {name: paths for name, paths in where.items() if len(paths) > 1}


def test_files_are_short():
    long = {path for path in files(*ORDER, "benchmarks") if len((ROOT / path).read_text().splitlines()) > MAX_LINES}
    assert long == LONG_FILES


def functions():
    for path, tree in files(*ORDER, "benchmarks").items():
        names = Counter()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names[node.name] += 1
                yield f"{path}:{node.name}", node


def test_functions_are_short():
    long = {name for name, node in functions() if node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES}
    assert long == LONG_FUNCTIONS


def test_functions_take_few_arguments():
    def taken(node):
        named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        return len([argument for argument in named if argument.arg not in ("self", "cls")])

    assert {name for name, node in functions() if taken(node) > MAX_PARAMETERS} == MANY_PARAMETERS


def test_plugin_folders_are_there():
    for place in PLUGINS:
        public = [path for path in (ROOT / place).glob("*.py") if not path.name.startswith("_")]
        assert public, f"{place} holds no plug-in"
