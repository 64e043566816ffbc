"""The documentation's pictures show the models and blocks as they are."""

import re
from pathlib import Path

import keras
import pytest

import keras_resnets
from docs.pictures.__main__ import FOLDER, main
from docs.pictures.blocks import branch_steps, example_blocks, shortcut_steps
from docs.pictures.rooms import direct_imports, draw_rooms, imported_modules
from docs.pictures.rows import model_rows
from docs.pictures.twins import draw_twins


@pytest.fixture(scope="module")
def residual():
    return keras_resnets.ResNet34()


@pytest.fixture(scope="module")
def plain(residual):
    return keras_resnets.plain_twin(residual)


def test_each_column_has_34_layers_with_weights_as_in_table_1(residual, plain):
    expected = ["7×7 conv, 64, stride 2"]
    for stage, (repeats, filters) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
        first = f"3×3 conv, {filters}" + (", stride 2" if stage > 1 else "")
        expected += [first] + [f"3×3 conv, {filters}"] * (2 * repeats - 1)
    expected += ["dense, 1000"]
    assert len(expected) == 34

    for model in (residual, plain):
        rows, _ = model_rows(model)
        assert [row.label for row in rows if row.has_weights] == expected
        others = [row.label for row in rows if not row.has_weights]
        assert others == ["image", "3×3 max pool, stride 2", "average pool"]


def test_every_layer_is_drawn_in_its_part_with_its_shape(residual):
    rows, _ = model_rows(residual)

    drawn = list(dict.fromkeys(row.name.split("/")[0] for row in rows))
    kept = [
        layer.name
        for layer in residual.layers
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.Activation))
    ]
    assert drawn == ["image", *kept]
    shapes = {row.part: [] for row in rows}
    for row in rows:
        if row.output_shape not in shapes[row.part]:
            shapes[row.part].append(row.output_shape)
    assert shapes == {
        "input": [(224, 224, 3)],
        "stem": [(112, 112, 64), (56, 56, 64)],
        "stage1": [(56, 56, 64)],
        "stage2": [(28, 28, 128)],
        "stage3": [(14, 14, 256)],
        "stage4": [(7, 7, 512)],
        "head": [(512,), (1000,)],
    }


def test_the_arcs_of_the_first_blocks_of_stages_2_to_4_alone_are_dashed(residual, plain):
    rows, arcs = model_rows(residual)

    dashed = {arc.block: arc.label for arc in arcs if arc.has_weights}
    assert dashed == {
        "stage2_block1": "1×1 conv, 128, stride 2",
        "stage3_block1": "1×1 conv, 256, stride 2",
        "stage4_block1": "1×1 conv, 512, stride 2",
    }
    assert {arc.label for arc in arcs if not arc.has_weights} == {""}
    assert len(arcs) == 3 + 4 + 6 + 3
    for arc in arcs:
        passed = [row.name for row in rows[arc.first : arc.last + 1]]
        assert passed == [f"{arc.block}/conv1", f"{arc.block}/conv2"]
    assert model_rows(plain)[1] == []


def test_the_picture_has_a_box_for_each_row_and_a_dash_for_each_projection(residual, plain):
    svg = draw_twins(residual, plain)

    shown = re.findall(r'fill="#1f2430">([^<]*(?:conv|pool|dense|image)[^<]*)</text>', svg)
    columns = [row.label for row in model_rows(plain)[0]] * 2
    assert [label for label in shown if label in columns] == columns
    assert svg.count("stroke-dasharray") == 3 + 1  # and the key
    assert svg.count("<circle") == 16 + 1


def test_what_cannot_be_drawn_is_an_error(residual):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.UpSampling2D(name="larger")(image))
    with pytest.raises(TypeError, match=r"No picture shows a UpSampling2D\. Received: 'larger'"):
        model_rows(model)
    with pytest.raises(ValueError, match="`twin` must have the layers of `model`"):
        draw_twins(residual, residual)


def test_blocks_are_drawn_step_by_step():
    def labels(steps):
        return steps and [f"{step.label} *" if step.has_weights else step.label for step in steps]

    shown = {
        example.title: (labels(branch_steps(example.block)), labels(shortcut_steps(example.block)))
        for example in example_blocks()
    }

    bottleneck = ["1×1 conv, 64 *", "batch norm *", "relu", "3×3 conv, 64 *", "batch norm *"]
    bottleneck += ["relu", "1×1 conv, 256 *", "batch norm *"]
    basic = ["3×3 conv, 64 *", "batch norm *", "relu", "3×3 conv, 64 *", "batch norm *"]
    wider = ["3×3 conv, 128, stride 2 *", "batch norm *", "relu", "3×3 conv, 128 *", "batch norm *"]
    assert shown == {
        "Plain block": (basic, None),
        "Basic block": (basic, []),
        "Bottleneck block": (bottleneck, []),
        "Option A, new shape": (wider, ["subsample by 2", "64 zero channels"]),
        "Option B, new shape": (wider, ["1×1 conv, 128, stride 2 *", "batch norm *"]),
        "Option C, same shape": (basic, ["1×1 conv, 64 *", "batch norm *"]),
        "Option D, new shape": (
            *(wider, ["2×2 average, stride 2", "1×1 conv, 128 *", "batch norm *"]),
        ),
        "Pre-activation": (["batch norm *", "relu", *basic[:-1]], []),
        "Squeeze and excitation": ([*basic, "squeeze, excite *"], []),
    }


def test_imports_are_found_and_those_that_follow_from_others_are_not_drawn(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import a.b\ndef f():\n    from c import d\n", encoding="utf-8")
    assert imported_modules(path) == {"a.b", "c", "c.d"}
    assert imported_modules(path, within_functions=False) == {"a.b"}

    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"d", "b"}}
    drawn = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"b"}}
    assert direct_imports(imports) == drawn
    arrows = re.findall(r'd="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)"', draw_rooms())
    assert len(arrows) > 15
    assert all(float(start) <= float(tip) for start, tip in arrows)  # all point down


def test_the_committed_pictures_are_what_the_code_draws(residual, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_resnets, "ResNet34", lambda: residual)
    names = main(tmp_path)

    for name in names:
        drawn, committed = (Path(folder, name).read_bytes() for folder in (tmp_path, FOLDER))
        assert drawn == committed, "run `python -m docs.pictures`"
        assert len(committed) < 300_000
