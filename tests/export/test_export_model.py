"""What is refused, and that nothing is left after an error."""

import concurrent.futures
import functools
import signal
import sys
import threading

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnets
from keras_resnets import export_model
from keras_resnets.export import ExportError, ParityError
from keras_resnets.export.export_model import choose_version, take_version, written_aside
from keras_resnets.export.formats import FORMATS
from keras_resnets.export.served_model import SIGNATURES
from tests.backends import BACKEND
from tests.export.networks import NAMES, classifier
from tests.layer_checks import numpy

needs_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow")


@pytest.fixture(scope="module")
def model():
    return classifier()


@pytest.fixture
def pretended(monkeypatch):
    """Replaces a format's file by an empty one, and its answers by those of a function."""

    def pretend(answer):
        def write(served, folder, tensors=None):
            (folder / "empty").write_bytes(b"")
            return folder / "empty"

        kind = FORMATS["saved_model"]._replace(write=write, open=lambda path: {"tensor": answer})
        monkeypatch.setitem(FORMATS, "saved_model", kind)

    return pretend


def files_below(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


@needs_tensorflow
@pytest.mark.parametrize("error", [2e-5, np.nan])
def test_a_file_that_answers_otherwise_leaves_nothing(error, model, pretended, tmp_path):
    def answer(batch):
        outputs = np.array(model(batch))
        if len(batch) == 7:
            outputs[-1, 0] += error
        return {"outputs": outputs}

    pretended(answer)
    with pytest.raises(ParityError, match=r"to 1e-05\. Received: .* 'tensor' with a batch of 7"):
        export_model(model, tmp_path / "models" / "m", signatures=("tensor",))
    assert files_below(tmp_path) == ["models"]


@needs_tensorflow
def test_versions_count_on_and_are_never_overwritten(model, pretended, tmp_path):
    pretended(lambda batch: {"outputs": np.array(model(batch))})
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "notes.txt").write_text("mine")
    (tmp_path / "m" / "9").mkdir()
    export = functools.partial(export_model, model, signatures=("tensor",))
    assert export(tmp_path / "m").path.name == "10"
    assert export(tmp_path / "m", version=4).path.name == "4"
    with pytest.raises(FileExistsError, match="must be a new one"):
        export(tmp_path / "m", version=10)
    with pytest.raises(NotADirectoryError, match=r"notes\.txt"):
        export(tmp_path / "m" / "notes.txt")
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def test_what_is_unfinished_lies_within_the_folder_under_a_name_that_is_no_version(tmp_path):
    # The folder may be a mount point, and nothing can be renamed from one file system to another.
    folder = tmp_path / "models" / "m"
    with written_aside(folder) as unfinished:
        (unfinished / "file").write_text("whole")
        [hidden] = folder.iterdir()
        assert hidden in unfinished.parents
        assert hidden.name.startswith(".unfinished-")
        assert take_version(unfinished, folder, 3) == folder / "3"
    assert files_below(folder) == ["3", "3/file"]


@pytest.mark.parametrize("is_there", [True, False])
def test_after_an_error_the_folder_is_as_it_was(is_there, tmp_path):
    folder = tmp_path / "m"
    if is_there:
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt), written_aside(folder):
        raise KeyboardInterrupt
    assert files_below(tmp_path) == (["m"] if is_there else [])


def test_being_terminated_leaves_nothing_either(tmp_path):
    def listening():
        return signal.getsignal(signal.SIGTERM) != signal.SIG_DFL

    def export_and_stop():
        with written_aside(tmp_path / "m") as unfinished:
            (unfinished / "file").write_text("half")
            assert listening()  # else the signal would end this process
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as stop:
        export_and_stop()
    assert stop.value.code == 128 + 15
    assert files_below(tmp_path) == []
    assert not listening()


def test_who_listens_for_termination_is_left_alone(tmp_path):
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with written_aside(tmp_path / "m"):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert heard == [signal.SIGTERM]
    assert files_below(tmp_path) == ["m"]


def test_another_thread_which_may_set_no_handler_can_export_too(tmp_path):
    def export():
        with written_aside(tmp_path) as unfinished:
            take_version(unfinished, tmp_path, None)

    with concurrent.futures.ThreadPoolExecutor() as threads:
        threads.submit(export).result()
    assert files_below(tmp_path) == ["1"]


@needs_tensorflow
def test_exports_at_once_take_one_number_each(model, pretended, tmp_path, monkeypatch):
    pretended(lambda batch: {"outputs": np.array(model(batch))})
    all_are_written = threading.Barrier(3)

    def take(*arguments):
        all_are_written.wait(timeout=300)
        return take_version(*arguments)

    # Of the same name as the function in it, which hides it from `import`.
    monkeypatch.setattr(sys.modules["keras_resnets.export.export_model"], "take_version", take)
    export = functools.partial(export_model, model, tmp_path, signatures=("tensor",), fuse=False)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        reports = [job.result() for job in [threads.submit(export) for _ in range(3)]]
    assert sorted(report.path.name for report in reports) == ["1", "2", "3"]
    assert all((report.path / "README.md").is_file() for report in reports)
    assert all(file.path.is_file() for report in reports for file in report.files)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("version", [None, 1])
def test_a_number_taken_at_the_last_moment(version, tmp_path, monkeypatch):
    def choose_and_lose(path, version):
        folder = choose_version(path, version)
        if folder.name == "1":
            (folder / "of another").mkdir(parents=True)
        return folder

    module = sys.modules["keras_resnets.export.export_model"]
    monkeypatch.setattr(module, "choose_version", choose_and_lose)
    with written_aside(tmp_path) as unfinished:
        if version is None:
            assert take_version(unfinished, tmp_path, version) == tmp_path / "2"
        else:
            with pytest.raises(FileExistsError, match=r"must be a new one. Received: version=1"):
                take_version(unfinished, tmp_path, version)
    assert files_below(tmp_path / "1") == ["of another"]


@needs_tensorflow
@pytest.mark.parametrize(("failing", "how"), [("saved_model", "answering"), ("onnx", "writing")])
def test_a_format_that_fails_leaves_the_others(failing, how, model, tmp_path, monkeypatch):
    def kind(name, offset=0.0, error=None):
        def write(served, folder):
            (folder / f"{name}.file").write_bytes(b"12345")
            if error:
                raise error
            return folder / f"{name}.file"

        answer = lambda batch: {"outputs": np.array(model(batch)) + offset}  # noqa: E731
        return FORMATS[name]._replace(write=write, open=lambda path: {"tensor": answer})

    monkeypatch.setattr("importlib.util.find_spec", lambda name: "here")
    for name in ("saved_model", "onnx", "litert"):
        monkeypatch.setitem(FORMATS, name, kind(name))
    error = KeyError("no such " + "operation " * 200 + "the reason") if how == "writing" else None
    monkeypatch.setitem(FORMATS, failing, kind(failing, offset=0.5, error=error))
    formats = ("saved_model", "onnx", "litert")
    expected = ExportError if error else ParityError
    with pytest.raises(expected) as raised:
        export_model(model, tmp_path, formats, signatures=("features",), class_names=NAMES)
    kept = [name for name in formats if name != failing]
    reason = "written or run: KeyError: 'no such" if error else "answer as the model does"
    assert reason in str(raised.value)
    assert ("operation the reason'. Kept in" in str(raised.value)) == (error is not None)
    assert repr(failing) in str(raised.value)
    assert str(raised.value).endswith(
        f"Kept in {str(tmp_path / '1')!r}: {', '.join(map(repr, kept))}"
    )
    assert len(str(raised.value)) < 1000
    report = raised.value.report
    assert report.path == tmp_path / "1"
    assert [(file.format, file.path.name, file.size) for file in report.files] == [
        (name, f"{name}.file", 5) for name in kept
    ]
    files = {"README.md", "labels.txt", "preprocessing.json", *(f"{name}.file" for name in kept)}
    assert {path.name for path in report.path.iterdir()} == files
    card = (report.path / "README.md").read_text("utf-8")
    assert f"| {failing} |" not in card
    assert all(f"| {name} |" in card for name in kept)
    assert ("| `features` |" in card) == (failing != "saved_model")
    assert ("| `tensor` |" in card) == (failing == "saved_model")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@needs_tensorflow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("tflite",)}, r"tuple of .* 'saved_model', .*formats=\('tflite',\)"),
        ({"formats": 3}, "must be a tuple of one or more.*formats=3"),
        ({"formats": [["onnx"]]}, r"must be a tuple of one or more.*formats=\[\['onnx'\]\]"),
        ({"formats": "onnx"}, "must be a tuple of one or more"),
        ({"formats": ()}, "must be a tuple of one or more"),
        ({"signatures": ("image", "image")}, "must be a tuple of one or more"),
        ({"signatures": ("serve",)}, r"tuple of .* 'serving_default', .*signatures=\('serve',\)"),
        ({"class_names": None}, "need `class_names`"),
        ({"class_names": [*"abc"]}, "a name for each of the 6 classes. Received: 3"),
        ({"class_names": [*NAMES[:5], "two\nlines"]}, r"of one line each.*'two\\nlines'"),
        ({"scores": "logits"}, "one of 'softmax', 'sigmoid', 'probabilities'"),
        ({"images": []}, "a list of one image or more"),
        ({"images": 5}, "a list of one image or more.*images=5"),
        ({"images": np.uint8(5)}, "a list of one image or more"),
        (
            {"images": [np.zeros((20, 20, 3), "uint8"), np.zeros((1, 101, 3), "uint8")]},
            r"^An image must be at most 100 times .*\(1, 1, 101, 3\) of image 1$",
        ),
        ({"images": "photo.jpg"}, "a list of one image or more"),
        ({"images": [np.zeros((4, 4, 3))]}, r"`uint8` array \(height, width, 3\)"),
        ({"images": np.zeros((2, 16, 16, 3), "float32")}, "must be paths or `uint8` arrays"),
        ({"images": np.zeros((2, 8, 8, 3), "float32")}, "must be a batch of the model's inputs"),
        ({"formats": ("litert_int8",)}, "needs `images`"),
        ({"formats": ("onnx",), "signatures": ("image",)}, "belongs to the format 'saved_model'"),
        ({"version": 0}, "`version` must be a positive integer"),
    ],
)
def test_what_is_not_allowed(options, message, model, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: "here")
    with pytest.raises(ValueError, match=message):
        export_model(model, tmp_path / "m", **{"class_names": NAMES, **options})
    assert files_below(tmp_path) == []


@needs_tensorflow
def test_a_file_that_cannot_be_decoded_is_named(model, tmp_path):
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype="uint8"))
    for name in ("whole.jpg", "a.webp", "a.gif"):
        pixels.save(tmp_path / name)
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:300])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("a.webp", "a.gif", "cut.jpg", "text.png", "empty.png"):
        images = [tmp_path / "whole.jpg", str(tmp_path / name)]
        with pytest.raises(ValueError, match=rf"whole JPEG or PNG file.*{name}'"):
            export_model(model, tmp_path / "m", class_names=NAMES, images=images)
    assert not (tmp_path / "m").exists()


@needs_tensorflow
def test_a_model_that_does_not_say_what_it_eats_has_tensors_only(tmp_path):
    import tensorflow as tf

    model = classifier(preprocessing=None)
    with pytest.raises(ValueError, match="give it a preprocessing"):
        export_model(model, tmp_path / "m", class_names=NAMES)
    assert files_below(tmp_path) == []
    report = export_model(model, tmp_path / "m", signatures=("tensor",))
    assert set(tf.saved_model.load(report.path).signatures) == {"tensor"}
    assert not (report.path / "labels.txt").exists()
    assert "The model notes none." in (report.path / "README.md").read_text("utf-8")


@needs_tensorflow
def test_a_preprocessing_must_end_in_the_model_s_size(tmp_path):
    fixed = keras.Sequential([keras.Input((24, 24, 3)), classifier((None, None, 3))])
    with pytest.raises(ValueError, match=r"prepared to \(16, 16\), takes \(24, 24\)"):
        export_model(fixed, tmp_path / "m", class_names=NAMES)
    model = classifier((None, None, 3), preprocessing=keras_resnets.Preprocessing())
    images = [np.zeros((20, 30, 3), "uint8"), np.zeros((25, 30, 3), "uint8")]
    with pytest.raises(ValueError, match=r"prepared to \(20, 30, 3\) and \(25, 30, 3\)"):
        export_model(model, tmp_path / "m", class_names=NAMES, images=images)
    model = classifier((16, 16, 3), preprocessing=keras_resnets.Preprocessing())
    export_model(model, tmp_path / "m", class_names=NAMES, signatures=("image",))


@needs_tensorflow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "float64"])
def test_16_and_64_bits_have_a_saved_model_alone(precision, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: "here")
    keras.config.set_dtype_policy(precision)
    model = classifier()
    received = rf"Received: formats=\('onnx',\), .* in {precision.removeprefix('mixed_')}"
    with pytest.raises(ValueError, match=rf"build it under the dtype policy 'float32'.*{received}"):
        export_model(model, tmp_path / "m", formats=("onnx",), class_names=NAMES)
    assert files_below(tmp_path) == []
    if precision == "mixed_bfloat16":
        [file] = export_model(model, tmp_path / "m", signatures=("tensor",)).files
        assert file.difference < 1e-2


@needs_tensorflow
def test_features_need_blocks_of_ours_among_the_model_s_own_layers(tmp_path, rng):
    """A model as Keras's guides wrap one: layers in front of a nested network."""
    inputs = keras.Input((16, 16, 3))
    crop = keras.layers.RandomCrop(16, 16)  # which needs the size when the graph is traced
    outer = keras.Model(
        inputs, classifier(preprocessing=None)(keras.layers.Rescaling(1 / 255)(crop(inputs)))
    )
    with pytest.raises(ValueError, match="leave it out of `signatures`"):
        export_model(outer, tmp_path / "m", class_names=NAMES, signatures=SIGNATURES)
    folder = export_model(outer, tmp_path / "m", class_names=NAMES).path
    answers = FORMATS["saved_model"].open(folder)
    assert set(answers) == {"serving_default", "image", "tensor"}
    images = rng.integers(0, 256, size=(2, 16, 16, 3), dtype="uint8")
    expected = numpy(outer(images.astype("float32"), training=False))
    # The bound to which an export is held.
    np.testing.assert_allclose(answers["image"](images)["scores"], expected, atol=1e-5)
    card = (folder / "README.md").read_text("utf-8")
    assert "`features` |" not in card
    assert "There is no `features`" in card


@needs_tensorflow
def test_a_model_of_videos_has_tensors_only(tmp_path):
    network = classifier(include_top=False, classes=None, pooling="avg")
    video = keras.Input((2, 16, 16, 3))
    means = keras.ops.mean(keras.layers.TimeDistributed(network)(video), axis=1)
    model = keras.Model(video, keras.layers.Dense(3)(means))
    with pytest.raises(ValueError, match=r"a model of images.*signatures=\('tensor',\)"):
        export_model(model, tmp_path / "m")
    [file] = export_model(model, tmp_path / "m", signatures=("tensor",)).files
    assert file.difference < 1e-5


@needs_tensorflow
def test_what_cannot_be_folded_can_be_exported_as_it_is(model, tmp_path):
    class Holder(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="holder")
            self.network = model

        def call(self, x):
            return self.network(x)

    inputs = keras.Input((16, 16, 3))
    outer = keras.Model(inputs, Holder()(inputs))
    with pytest.raises(ValueError, match=r"with `fuse=False` the model is exported .*'holder'"):
        export_model(outer, tmp_path / "m", signatures=("tensor",))
    export_model(outer, tmp_path / "m", signatures=("tensor",), fuse=False)

    class Unmade(keras.layers.Layer):  # as Keras's `RandomShear`
        def get_config(self):
            return super().get_config() | {"factor": 2}

        def call(self, x):
            return x

    outer = classifier(input_tensor=Unmade()(inputs), input_shape=None)
    with pytest.raises(ValueError, match=r"with `fuse=False` the model is .*Unmade"):
        export_model(outer, tmp_path / "m", signatures=("tensor",))


@needs_tensorflow
def test_a_missing_package_is_named_with_what_installs_it(model, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, package in [
        ("onnx", "tf2onnx"),
        ("litert", "ai_edge_litert"),
        ("openvino", "openvino"),
    ]:
        message = rf"needs the package '{package}': `pip install 'keras-resnets\[{name}\]'`"
        with pytest.raises(ModuleNotFoundError, match=message):
            export_model(model, tmp_path / "m", formats=("saved_model", name), class_names=NAMES)
    assert files_below(tmp_path) == []


@pytest.mark.skipif(BACKEND == "tensorflow", reason="can export")
def test_another_backend_is_told_what_to_do(model, tmp_path):
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        export_model(model, tmp_path / "m", class_names=NAMES)


def test_what_is_no_model(tmp_path, model):
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        export_model("model.keras", tmp_path)
    if BACKEND == "tensorflow":
        with pytest.raises(TypeError, match=r"`path` must be the path of a folder.*path=None"):
            export_model(model, None)
        with pytest.raises(TypeError, match=r"`class_names` must be a list.*class_names=7"):
            export_model(model, tmp_path, class_names=7)
    with pytest.raises(ValueError, match="one input and one output"):
        export_model(keras.Model(model.input, [model.output, model.output]), tmp_path)

    class Subclass(keras.Model):
        pass

    for other in (Subclass(), keras.Sequential([keras.layers.Flatten()])):
        with pytest.raises(ValueError, match="must be functional"):
            export_model(other, tmp_path)
