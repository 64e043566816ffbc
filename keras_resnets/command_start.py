"""What the command `keras-resnets` needs before Keras, and with it a backend, is imported."""

# Built in; the imports of `signal` take milliseconds, in which Ctrl-C may come.
import _signal  # type: ignore[import-not-found]
import os
import sys

COMMANDS = ("keras-resnets", "keras-resnets.exe")


def is_command() -> bool:
    """Whether this process was started as `keras-resnets` or `python -m keras_resnets`."""
    started = (getattr(sys, "argv", None) or [""])[0]
    if started == "-m":  # until Python knows the file that it runs
        return "keras_resnets" in sys.orig_argv
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    return os.path.basename(started) in COMMANDS or os.path.abspath(started) == own


def is_trainer() -> bool:
    """Whether this process was started as `python -m training` of the same checkout."""
    started = (getattr(sys, "argv", None) or [""])[0]
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.abspath(started) == os.path.join(checkout, "training", "__main__.py")


def end_on_interrupt() -> None:
    """Makes Ctrl-C end the command's process at once, until `raise_on_interrupt`.

    Python's own handler could raise in a library's import, or in a callback of the garbage
    collector, where the exception is printed and lost. Other processes are not changed, nor is a
    Ctrl-C that is ignored.
    """
    if is_command() and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def raise_on_interrupt() -> None:
    """Makes Ctrl-C raise `KeyboardInterrupt` in the command's process again."""
    if is_command() and _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


end_on_interrupt()  # before anything else is imported

import contextlib  # noqa: E402
from collections.abc import Iterator  # noqa: E402

BACKENDS = ("tensorflow", "jax", "jaxlib", "torch", "openvino")
# What pip calls packages that are not named as their modules.
NAMES_FOR_PIP = {"PIL": "pillow", "absl": "absl-py", "sklearn": "scikit-learn"}


def missing_package(error: ModuleNotFoundError) -> str:
    """Returns a sentence that names the package to install, unless the error says it itself."""
    package = (error.name or "").partition(".")[0]
    if "pip install" in str(error) or package in ("", "keras_resnets", "training"):
        return str(error)
    if package in BACKENDS:
        return (
            f"keras_resnets needs a backend for Keras, and the one it would use, {package!r}, is "
            "not installed. Install TensorFlow with `pip install tensorflow-cpu` or `pip install "
            "'tensorflow[and-cuda]'`; or install JAX or PyTorch and set the environment variable "
            "KERAS_BACKEND to 'jax' or 'torch'."
        )
    package = NAMES_FOR_PIP.get(package, package)
    return f"The package {package!r} is not installed. Install it with `pip install {package}`."


@contextlib.contextmanager
def imports_of_the_command() -> Iterator[None]:
    """Holds chatter back, as `without_chatter`, and names a package that is missing."""
    missing = None
    with without_chatter():  # and not shown for this error, which says all
        try:
            yield
        except ModuleNotFoundError as error:
            missing = error
    if missing is not None:
        raise ModuleNotFoundError(missing_package(missing), name=missing.name) from missing


@contextlib.contextmanager
def without_chatter(*expected: type[BaseException]) -> Iterator[None]:
    """Holds back what C++ code, not Python, writes to stderr in the command's process.

    TensorFlow 2.21 announces oneDNN while it is imported, whatever `TF_CPP_MIN_LOG_LEVEL` says.
    Other processes are not changed. If an exception passes that is not `expected`, what was held
    back is shown: it may say why.
    """
    if not is_command():
        yield
        return
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    pythons, descriptor = sys.stderr, os.dup(2)
    # A library's logger may keep this stream, so that it is not closed here.
    terminal = open(descriptor, "w", 1, pythons.encoding, pythons.errors)  # noqa: SIM115
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        sys.stderr = terminal
        try:
            yield
        except expected:
            raise
        except BaseException:
            held.seek(0)
            os.write(descriptor, held.read())
            raise
        finally:
            sys.stderr = pythons
            os.dup2(descriptor, 2)
