"""`python -m docs.pictures` draws every picture of the documentation anew."""

from pathlib import Path

import keras_resnets
from docs.pictures.blocks import draw_blocks, example_blocks
from docs.pictures.rooms import draw_rooms
from docs.pictures.twins import draw_twins

FOLDER = Path(__file__).resolve().parent.parent / "images"


def main(folder=FOLDER):
    folder.mkdir(exist_ok=True)
    model = keras_resnets.ResNet34()
    twin = keras_resnets.plain_twin(model, name="plainnet34")
    examples = example_blocks()
    pictures = {
        "blocks.svg": draw_blocks(examples),
        "twins.svg": draw_blocks(examples[:3]),
        "resnet34_and_plain34.svg": draw_twins(model, twin),
        "rooms.svg": draw_rooms(),
    }
    for name, svg in pictures.items():
        (folder / name).write_text(svg, encoding="utf-8")
    return list(pictures)


if __name__ == "__main__":
    for name in main():
        print(FOLDER / name)
