"""Networks of Hugging Face's hub, from a server on this machine, and from its cache alone."""

import hashlib
import http.server
import json

import keras
import numpy as np
import pytest
from safetensors.numpy import save

import keras_resnets
from keras_resnets import Preprocessing, convert_weights
from keras_resnets.cli.main import main
from keras_resnets.weights.presets import DownloadError
from tests.weights.file_server import serving

constants = pytest.importorskip("huggingface_hub.constants")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SPEC = keras_resnets.ResNetSpec(block="bottleneck", repeats=(1, 1, 1, 1), widths=(4, 4, 6, 6))
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture(scope="module")
def network():
    return keras_resnets.build_model(SPEC, classes=3)


@pytest.fixture(scope="module")
def timm_like(network):
    """The files of a repository of timm: weights, and a configuration with what images get."""
    config = {
        "architecture": "resnet14",
        "num_classes": 3,
        "model_args": {"num_classes": 3, "in_chans": 3, "global_pool": "avg"},
        "pretrained_cfg": {
            **{"input_size": [3, 224, 224], "crop_pct": 0.95, "crop_mode": "center"},
            **{"interpolation": "bicubic", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]},
            "label_names": ["cat", "dog", "cow"],
        },
    }
    weights = save(keras_resnets.to_torch_state_dict(network))
    return {"model.safetensors": weights, "config.json": json.dumps(config).encode()}


@pytest.fixture(scope="module")
def transformers_like(network):
    config = {
        **{"model_type": "resnet", "downsample_in_bottleneck": True, "hidden_act": "relu"},
        "id2label": {"0": "cat", "1": "dog", "2": "cow"},
    }
    processor = {
        **{"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}},
        **{"crop_pct": 0.875, "resample": 3},
        **{"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    }
    arrays = keras_resnets.to_torch_state_dict(network, family="hugging_face")
    names = sorted(arrays)
    parts = names[:40], names[40:]
    files = {
        shard: save({name: arrays[name] for name in part})
        for shard, part in zip(SHARDS, parts, strict=True)
    }
    places = {name: shard for shard, part in zip(SHARDS, parts, strict=True) for name in part}
    return files | {
        "model.safetensors.index.json": json.dumps({"weight_map": places}).encode(),
        "config.json": json.dumps(config).encode(),
        "preprocessor_config.json": json.dumps(processor).encode(),
    }


class Hub:
    """A server that answers as the hub does, for the repositories that it is given."""

    def __init__(self):
        self.repositories = {}  # from names to files

    def handler(self):
        repositories = self.repositories

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self._answer(with_body=False)

            def do_GET(self):
                self._answer(with_body=True)

            def _answer(self, with_body):
                owner, name, _, revision, *path = self.path.strip("/").split("/")
                files = repositories.get(f"{owner}/{name}")
                content = (files or {}).get("/".join(path))
                is_known = revision in ("main", COMMIT)
                if content is None or not is_known:
                    code = "RepoNotFound" if files is None else "EntryNotFound"
                    self.send_response(404)
                    self.send_header("X-Error-Code", code if is_known else "RevisionNotFound")
                    self.send_header("X-Repo-Commit", COMMIT)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if with_body:
                    self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        return Handler


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A hub, with an empty cache; what is set to reach it no longer is after `unplug()`."""
    hub_here = Hub()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.delenv("KERAS_RESNETS_OFFLINE", raising=False)
    with serving(hub_here.handler()) as address:
        place = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}{place}")
        hub_here.unplug = lambda: monkeypatch.setenv("KERAS_RESNETS_OFFLINE", "1")
        yield hub_here


def assert_same(model, other):
    for weight, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (weight, expected)))


def test_a_network_of_timm_comes_with_what_its_configuration_says(served, timm_like, network):
    served.repositories["timm/resnet50.a1_in1k"] = timm_like
    for _ in range(2):
        reports = []
        model = convert_weights("hf://timm/resnet50.a1_in1k", report=reports.append)
        assert_same(model, network)
        expected = Preprocessing(
            resize=235,  # 224 / 0.95 is 235.8, which timm rounds down
            crop=224,
            interpolation="bicubic",
            mean=(0.5, 0.4, 0.3),
            std=(0.2, 0.2, 0.1),
        )
        assert keras_resnets.model_preprocessing(model) == expected
        assert keras_resnets.model_class_names(model) == ("cat", "dog", "cow")
        assert reports[0].preprocessing_source == "that of the configuration beside the file"
        served.unplug()  # the second time it is read from the cache


def test_a_network_of_transformers_in_several_files(served, transformers_like, network):
    served.repositories["microsoft/resnet-50"] = transformers_like
    for revision in ("", "@main", f"@{COMMIT}"):
        model = convert_weights(f"hf://microsoft/resnet-50{revision}")
        assert_same(model, network)
        assert keras_resnets.model_spec(model).stride_on == "1x1"
        assert keras_resnets.model_class_names(model) == ("cat", "dog", "cow")
        noted = keras_resnets.model_preprocessing(model)
        assert (noted.resize, noted.crop, noted.interpolation) == (256, 224, "bicubic")
        served.unplug()


def test_a_factory_and_the_command_take_them(served, timm_like, network, capsys):
    served.repositories["timm/resnet50.a1_in1k"] = timm_like
    model = keras_resnets.build_model(SPEC, weights="hf://timm/resnet50.a1_in1k")
    assert_same(model, network)
    assert main(["describe", "hf://timm/resnet50.a1_in1k"]) == 0
    assert "resize 235, crop 224" in " ".join(capsys.readouterr().out.split())


def test_a_folder_that_was_fetched_by_hand_is_the_same(tmp_path, timm_like, network):
    for name, content in timm_like.items():
        (tmp_path / name).write_bytes(content)
    model = keras_resnets.build_model(SPEC, weights=tmp_path)
    assert_same(model, network)
    assert keras_resnets.model_preprocessing(model).resize == 235


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://timm", "`hf://OWNER/NAME`, or"),
        ("hf://a/b/c", "`hf://OWNER/NAME`, or"),
        ("hf://timm/resnet50@", "`hf://OWNER/NAME`, or"),
        ("hf://timm/../x", "`hf://OWNER/NAME`, or"),
        ("hf://nobody/nothing", "'config.json' of 'nobody/nothing' cannot be fetched"),
        ("hf://timm/resnet50@v9", "'config.json' of 'timm/resnet50' cannot be fetched"),
        ("hf://timm/empty", r"'timm/empty' has none of model\.safetensors, "),
        ("hf://-timm/resnet50", "cannot be fetched"),
    ],
)
def test_what_is_not_there_is_named_and_how_to_fetch_it(served, timm_like, name, message):
    served.repositories |= {"timm/resnet50": timm_like, "timm/empty": {"README.md": b""}}
    with pytest.raises((ValueError, DownloadError), match=message):
        convert_weights(name)


def test_without_a_connection_the_file_and_the_way_to_fetch_it_are_named(served, timm_like):
    served.repositories["timm/resnet50"] = timm_like
    served.unplug()
    with pytest.raises(
        DownloadError,
        match=r"'config\.json' of 'timm/resnet50' is not in the cache, .*`hf download timm/resne",
    ):
        keras_resnets.ResNet50(weights="hf://timm/resnet50")


def test_a_repository_without_a_configuration_is_read_from_the_cache_too(served, timm_like):
    served.repositories["me/own"] = {"model.safetensors": timm_like["model.safetensors"]}
    convert_weights("hf://me/own")
    served.unplug()
    model = convert_weights("hf://me/own")
    assert keras_resnets.model_preprocessing(model) == Preprocessing.imagenet()


def test_a_file_of_an_index_that_is_not_there_is_named(served, transformers_like):
    files = {name: content for name, content in transformers_like.items() if name != SHARDS[1]}
    served.repositories["microsoft/resnet-50"] = files
    with pytest.raises(ValueError, match=f"incomplete.*{SHARDS[1]}"):
        convert_weights("hf://microsoft/resnet-50")


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "resnet14_gn"},
        {"architecture": "ecaresnet14"},
        {"architecture": "seresnet14"},
        {"architecture": "resnet14d"},
        {"architecture": "resnext14_32x4d"},
        {"architecture": "wide_resnet14_2"},
        {"architecture": "resnetv2_14"},
        {"architecture": "resnetrs14"},
        {"architecture": "resnetblur50"},  # which has more blocks
        {"architecture": "resnet50"},  # which has more blocks
    ],
)
def test_a_network_that_this_package_does_not_have_is_told_by_its_name(change, timm_like, tmp_path):
    config = json.loads(timm_like["config.json"]) | change
    (tmp_path / "model.safetensors").write_bytes(timm_like["model.safetensors"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"names another.*Received: architecture="):
        convert_weights(tmp_path)


def test_timm_s_older_form_is_followed(timm_like, tmp_path):
    config = json.loads(timm_like["config.json"])
    flat = {"architecture": config["architecture"], **config["pretrained_cfg"]}
    (tmp_path / "model.safetensors").write_bytes(timm_like["model.safetensors"])
    (tmp_path / "config.json").write_text(json.dumps(flat))
    model = convert_weights(tmp_path)
    assert keras_resnets.model_preprocessing(model).mean == (0.5, 0.4, 0.3)
    assert keras_resnets.model_class_names(model) == ("cat", "dog", "cow")
    flat["architecture"] = "resnetblur14"
    (tmp_path / "config.json").write_text(json.dumps(flat))
    blurred = convert_weights(tmp_path)
    assert keras_resnets.model_spec(blurred).anti_alias == "blur"
    # Another model would compute something else.
    with pytest.raises(ValueError, match=r"networks have anti_alias='blur'\. Received"):
        convert_weights(tmp_path, model)
    with pytest.raises(ValueError, match="pass anti_alias='blur'"):
        keras_resnets.build_model(SPEC, weights=tmp_path)
    flat["architecture"] = config["architecture"]
    (tmp_path / "config.json").write_text(json.dumps(flat))
    with pytest.raises(ValueError, match=r"networks have anti_alias=None\. Received"):
        convert_weights(tmp_path, blurred)


def test_an_argument_that_may_change_what_it_computes_is_named(timm_like, tmp_path):
    config = json.loads(timm_like["config.json"]) | {"model_args": {"act_layer": "silu"}}
    (tmp_path / "model.safetensors").write_bytes(timm_like["model.safetensors"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"Received: model_args=\{'act_layer': 'silu'\}"):
        convert_weights(tmp_path)


@pytest.mark.parametrize("content", ["[1, 2]", "// mine", '{"architecture": "ResNet18", "lr": 1}'])
def test_a_configuration_of_another_program_is_no_matter(content, timm_like, tmp_path, recwarn):
    (tmp_path / "model.safetensors").write_bytes(timm_like["model.safetensors"])
    (tmp_path / "config.json").write_text(content)
    model = convert_weights(tmp_path)
    is_said = any("config.json beside the file is not followed" in str(w.message) for w in recwarn)
    assert is_said == (not content.startswith("{"))
    assert keras_resnets.model_preprocessing(model) == Preprocessing.imagenet()


@pytest.mark.parametrize(
    "change",
    [
        {"crop_pct": 0},
        {"crop_pct": None},
        {"input_size": [3, 224]},
        {"interpolation": "lanczos"},
        {"mean": "x"},
        {"std": [0.0, 0.0, 0.0]},
        {"crop_mode": "squash"},
    ],
)
def test_what_cannot_be_followed_is_said(change, timm_like, tmp_path):
    config = json.loads(timm_like["config.json"])
    config["pretrained_cfg"] |= change
    (tmp_path / "model.safetensors").write_bytes(timm_like["model.safetensors"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="in the configuration cannot be followed"):
        model = convert_weights(tmp_path)
    assert keras_resnets.model_preprocessing(model) == Preprocessing.imagenet()


@pytest.mark.parametrize("labels", [None, [], ["a"], ["a", "b", 3], ["LABEL_0", "LABEL_1", "L"]])
def test_names_that_are_none_are_left_out(labels, timm_like, tmp_path):
    config = json.loads(timm_like["config.json"])
    config["pretrained_cfg"]["label_names"] = labels
    (tmp_path / "model.safetensors").write_bytes(timm_like["model.safetensors"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert keras_resnets.model_class_names(convert_weights(tmp_path)) is None
