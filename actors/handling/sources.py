"""Loading the modules in which handlers are declared, by the text that names them to a worker process too."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from pathlib import Path
from types import ModuleType

from runtime.errors import InvalidRequest


def load_source(source: str) -> ModuleType:
    """Load "file:/absolute/path.py" or "module:dotted.name", once. Raises InvalidRequest with what went wrong."""
    kind, _, place = source.partition(":")
    try:
        match kind:
            case "file":
                return _load_file(source, Path(place))
            case "module":
                return importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise InvalidRequest(f"cannot load {place!r}: {type(error).__name__}: {error}") from error
    raise InvalidRequest(f"a source is file:PATH or module:NAME, not {source!r}")


def _load_file(source: str, path: Path) -> ModuleType:
    name = _module_name(path)
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InvalidRequest(f"there is no Python file {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__tocsin_source__"] = source
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        # At the end: a neighbour of the file shall be found and no library be hidden.
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path) -> str:
    """The same for the same file in every process, and nobody else's."""
    return f"{path.stem}_{zlib.crc32(str(path).encode()):08x}"
