"""What lies beside an exported model, for people and programs that serve it."""

import json

import keras

from keras_resnets.analysis import count_parameters

DESCRIPTIONS = {
    "serving_default": (
        "`image_bytes`: JPEG or PNG files, `string (batch,)`",
        "`scores`, `top_scores`, `top_classes`, `top_names`",
    ),
    "image": (
        "`images`: {colours}, `uint8 (batch, height, width, channels)`, of any size",
        "`scores`, `top_scores`, `top_classes`, `top_names`",
    ),
    "tensor": ("`inputs`: prepared as below, `float32`", "`outputs`: what the model puts out"),
    "features": ("`inputs`: prepared as below, `float32`", "`stage1`, …: feature maps"),
}


def write_model_card(served, files, folder):
    """Writes `README.md`, and `labels.txt` and `preprocessing.json` where they are known."""
    if served.class_names is not None:
        (folder / "labels.txt").write_text(
            "".join(f"{name}\n" for name in served.class_names), encoding="utf-8"
        )
    preprocessing = served.preprocessing and served.preprocessing.to_dict()
    text = json.dumps(preprocessing, indent=2)
    if preprocessing is not None:
        (folder / "preprocessing.json").write_text(f"{text}\n", encoding="utf-8")
    (folder / "README.md").write_text(
        "\n".join(
            [*_head(served), *_signatures(served, files), *_files(files), *_preprocessing(text)]
        ),
        encoding="utf-8",
    )


def _head(served):
    import tensorflow as tf

    model = served.model
    return [
        f"# {model.name}",
        "",
        f"Inputs {model.input_shape}, outputs {model.output_shape}, "
        f"{count_parameters(model).total:,} parameters.",
        f"Written with TensorFlow {tf.__version__} and Keras {keras.__version__}.",
        "",
    ]


def _signatures(served, files):
    lines = ["## Signatures", "", "| signature | takes | gives |", "|-|-|-|"]
    colours = {1: "grey", 3: "RGB"}.get(served.channels, f"{served.channels} channels")
    has_saved_model = any(file.format == "saved_model" for file in files)
    for name in served.signatures if has_saved_model else ("tensor",):
        takes, gives = DESCRIPTIONS[name]
        lines.append(f"| `{name}` | {takes.format(colours=colours)} | {gives} |")
    return [*lines, "", "All but the SavedModel have the signature `tensor` alone.", ""]


def _files(files):
    lines = [
        "## Files",
        "",
        "Each was loaded again and compared with the model, at batches of 1, 2, 3, 7 and 32.",
        "",
        "| format | file | bytes | largest difference | same class |",
        "|-|-|-|-|-|",
    ]
    for file in files:
        agreement = "" if file.agreement is None else f"{file.agreement:.1%}"
        name = "saved_model.pb" if file.format == "saved_model" else file.path.name
        lines.append(
            f"| {file.format} | {name} | {file.size:,} | {file.difference:.1e} | {agreement} |"
        )
    return [*lines, ""]


def _preprocessing(text):
    if text == "null":
        return ["## Preprocessing", "", "The model notes none.", ""]
    return ["## Preprocessing", "", "```json", text, "```", ""]
