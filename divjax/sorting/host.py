"""numpy functions on XLA's own buffers: what its CPU backend does slowly, done in place without a copy.

A handler of XLA's foreign function interface, written with ctypes. ``jax.pure_callback`` would do the same, but
copies through the thread pool that waits for it: with as many callbacks as cores it never returns.
"""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array

_INTERNAL = 13  # XLA_FFI_Error_Code_INTERNAL
_EXECUTE = 3  # XLA_FFI_ExecutionStage_EXECUTE
_METADATA = 1  # XLA_FFI_Extension_Metadata
_DTYPES = {4: np.int32, 5: np.int64, 8: np.uint32, 9: np.uint64, 11: np.float32, 12: np.float64}
_SIZE, _POINTER = ("struct_size", ctypes.c_size_t), ctypes.c_void_p
_INT, _INT64, _to = ctypes.c_int, ctypes.c_int64, ctypes.POINTER


class _Extension(ctypes.Structure):
    _fields_ = [_SIZE, ("type", _INT), ("next", _POINTER)]


_HEAD = (_SIZE, ("extension", _POINTER))


class _Version(ctypes.Structure):
    _fields_ = [*_HEAD, ("major", _INT), ("minor", _INT)]


class _Metadata(ctypes.Structure):
    _fields_ = [_SIZE, ("version", _Version), ("traits", ctypes.c_uint32)]


class _MetadataExtension(ctypes.Structure):
    _fields_ = [("base", _Extension), ("metadata", _to(_Metadata))]


class _Buffer(ctypes.Structure):
    _fields_ = [*_HEAD, ("dtype", _INT), ("data", _POINTER), ("rank", _INT64), ("dims", _to(_INT64))]


class _Buffers(ctypes.Structure):
    _fields_ = [*_HEAD, ("size", _INT64), ("types", _to(_INT)), ("buffers", _to(_to(_Buffer)))]


class _ErrorArguments(ctypes.Structure):
    _fields_ = [*_HEAD, ("message", ctypes.c_char_p), ("code", _INT)]


_ERROR = ctypes.CFUNCTYPE(_POINTER, _to(_ErrorArguments))


class _Api(ctypes.Structure):
    _fields_ = [*_HEAD, ("version", _Version), ("internal", _POINTER), ("error", _ERROR)]


_CALL = (_SIZE, ("extension", _to(_Extension)), ("api", _to(_Api)), ("context", _POINTER))


class _CallFrame(ctypes.Structure):
    _fields_ = [*_CALL, ("stage", _INT), ("arguments", _Buffers), ("results", _Buffers)]


_HANDLER = ctypes.CFUNCTYPE(_POINTER, _to(_CallFrame))
_kept = []  # handlers that XLA may still call


def _version() -> tuple[int, int]:
    """The interface's version, from the header that comes with jaxlib."""
    header = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text()
    major, minor = (header.split(f"#define XLA_FFI_API_{part} ")[1].split()[0] for part in ("MAJOR", "MINOR"))
    return int(major), int(minor)


def _view(buffer: _Buffer) -> np.ndarray:
    shape = tuple(buffer.dims[axis] for axis in range(buffer.rank))
    dtype = np.dtype(_DTYPES[buffer.dtype])
    if not all(shape):
        return np.empty(shape, dtype)
    raw = (ctypes.c_byte * (dtype.itemsize * int(np.prod(shape)))).from_address(buffer.data)
    return np.frombuffer(raw, dtype).reshape(shape)


def _handler(function: Callable[..., None], version: tuple[int, int]):
    def describe(frame):
        extension = ctypes.cast(frame.extension, _to(_MetadataExtension)).contents
        told = extension.metadata.contents.version
        told.major, told.minor = version
        extension.metadata.contents.traits = 0

    def handle(pointer):
        frame = pointer.contents
        if frame.extension and frame.extension.contents.type == _METADATA:
            describe(frame)
        elif frame.stage == _EXECUTE:
            try:
                buffers = [
                    part.buffers[i].contents for part in (frame.arguments, frame.results) for i in range(part.size)
                ]
                function(*map(_view, buffers))
            except Exception as error:  # an exception cannot pass through C
                arguments = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, repr(error).encode(), _INTERNAL)
                return frame.api.contents.error(ctypes.byref(arguments))
        return None

    return _HANDLER(handle)


@functools.cache
def register(function: Callable[..., None]) -> str | None:
    """The name under which XLA's CPU backend knows ``function``, None where this jaxlib does not take it.

    function(*arguments, *results): numpy arrays that share XLA's memory; it writes the results. An argument aliased
    to a result is the same memory. Module level, and without calls to JAX.
    """
    name = f"divjax.{function.__module__}.{function.__qualname__}"
    try:
        handler = _handler(function, _version())
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(ctypes.cast(handler, _POINTER)), platform="cpu")
    except (AttributeError, IndexError, OSError, RuntimeError, ValueError):
        # Another interface: every caller has a formula in jax.numpy to fall back on.
        return None
    _kept.append(handler)
    return name


def on_cpu(
    function: Callable[..., None], otherwise: Callable[..., Array], result: jax.ShapeDtypeStruct, *, in_place: bool
) -> Callable[..., Array]:
    """``function`` where the program runs on a CPU, ``otherwise`` elsewhere: a function of arrays [..., n].

    vmap adds leading axes, which ``function`` must take; otherwise(*arguments) is a formula in jax.numpy, mapped
    too. Not differentiable. in_place: the first argument and the result share memory.
    """
    name = register(function)
    if name is None:
        return otherwise
    call = jax.ffi.ffi_call(
        name, result, vmap_method="broadcast_all", input_output_aliases={0: 0} if in_place else None
    )
    return lambda *arguments: jax.lax.platform_dependent(*arguments, cpu=call, default=otherwise)
