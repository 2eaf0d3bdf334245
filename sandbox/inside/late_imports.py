"""What is done to a module as soon as it has been imported, for those that are not imported yet."""

import importlib.machinery
import sys


class LateImports:
    """A finder that lets the usual one find a module, and calls a function on it when it has been executed."""

    def __init__(self, steps: dict) -> None:
        self._steps = steps

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name not in self._steps:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: object) -> None:
                execute(module)
                if step := self._steps.pop(name, None):
                    step(module)

            spec.loader.exec_module = exec_module
        return spec


def on_import(steps: dict) -> None:
    """Call each function on the module of its name: now if it is imported, else when it is."""
    later = {}
    for name, step in steps.items():
        if name in sys.modules:
            step(sys.modules[name])
        else:
            later[name] = step
    if later:
        sys.meta_path.insert(0, LateImports(later))
