"""How long it takes to import the package and to build models: `python -m tests.speed`.

Not a test, for times depend on the machine: it compares within one run, and prints ratios.
"""

import os
import statistics
import subprocess
import sys
import time

ROUNDS = 7
IMPORT = """
import time
import keras
start = time.perf_counter()
import keras_resnets
print(time.perf_counter() - start)
"""


def import_seconds():
    """What the package adds to Keras's import, once its bytecode is written."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", IMPORT]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, check=True) for _ in range(4)
    ]
    return statistics.median(float(run.stdout) for run in runs[1:])


def main():
    added = import_seconds()
    import keras

    import keras_resnets

    def seconds(build):
        start = time.perf_counter()
        build()
        return time.perf_counter() - start

    builders = (keras_resnets.ResNet50, lambda: keras.applications.ResNet50(weights=None))
    for build in builders:
        build()  # the first pays for what later ones share
    times = [[seconds(build) for build in builders] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    drawn = [
        statistics.median(seconds(lambda model=model: draw_kernels(model)) for _ in range(ROUNDS))
        for model in (build() for build in builders)
    ]
    deepest = seconds(keras_resnets.ResNet1202)
    rows = [
        ("import keras_resnets, after keras", f"{1000 * added:.0f} ms", "at most 50 ms"),
        (
            "ResNet50() to keras.applications'",
            f"{ours / theirs:.2f} ({ours:.2f} s to {theirs:.2f} s)",
            "at most 1",
        ),
        (
            "  of which drawing the kernels",
            f"{drawn[0]:.2f} s to {drawn[1]:.2f} s",
            "He's normals to Glorot's uniform",
        ),
        (
            "  and the rest",
            f"{(ours - drawn[0]) / (theirs - drawn[1]):.2f}",
            "",
        ),
        ("ResNet1202()", f"{deepest:.1f} s", "under 60 s"),
    ]
    for name, figure, limit in rows:
        print(f"{name:<36}{figure:<28}{limit}")


def draw_kernels(model):
    """Draws each convolution's kernel once more, as its layer did when it was built."""
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel_initializer.clone()(layer.kernel.shape)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
