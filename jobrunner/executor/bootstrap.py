"""Makes an interpreter a child of ours, though it has no jobrunner: `python bootstrap.py child ...`

It is executed by its path. The package that it lies in becomes importable as `jobrunner`, and nothing else
does: no folder of ours is put on `sys.path`, so what the other environment has installed is found as ever,
and what ours has is not. Should it have a jobrunner, ours goes before: node and run must be of one version.

Nothing here may be more than any Python 3 understands; what it prints is in the log of the run.
"""

import os
import sys

LEAST = (3, 11)
HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH120
PACKAGE = os.path.dirname(HERE)  # noqa: PTH120


def provide() -> None:
    """Make our package importable, and our folder not."""
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != HERE]
    if sys.version_info < LEAST:
        said = "jobrunner: {0} is Python {1}.{2}; it takes {3}.{4} or later"
        sys.exit(said.format(sys.executable, *(tuple(sys.version_info[:2]) + LEAST)))
    from importlib.util import module_from_spec, spec_from_file_location

    init = os.path.join(PACKAGE, "__init__.py")
    spec = spec_from_file_location("jobrunner", init, submodule_search_locations=[PACKAGE])
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["jobrunner"] = module
    spec.loader.exec_module(module)


provide()

if __name__ == "__main__":
    if sys.argv.pop(1) == "child":
        from jobrunner import child

        child.main()
    elif os.fork() == 0:  # a zygote that is nobody's child: what kills its parent's children spares it
        from jobrunner.executor import zygote

        zygote.main()
