"""Small data sets in TFDS's format, with several files a split."""

import tensorflow as tf
import tensorflow_datasets as tfds

NAMES = ("cat", "ant", "bee")
SHARDS = 3


def write_set(data_dir, name, examples, shape, version="1.0.0", label_key="label"):
    """Writes a set of encoded pictures and returns its folder.

    `examples` holds, for each split, pairs of a file's contents and a label; `shape` is what the
    set says of its pictures. Example i of a split goes into file i modulo 3.
    """
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=shape),
            label_key: tfds.features.ClassLabel(names=NAMES),
        }
    )
    folder = data_dir / name / version
    folder.mkdir(parents=True)
    splits = []
    for split, pairs in examples.items():
        shards = [pairs[number::SHARDS] for number in range(SHARDS)]
        for number, shard in enumerate(shards):
            file = f"{name.split('/')[0]}-{split}.tfrecord-{number:05}-of-{SHARDS:05}"
            with tf.io.TFRecordWriter(str(folder / file)) as writer:
                for contents, label in shard:
                    writer.write(_example(contents, label, label_key))
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(shard) for shard in shards],
                num_bytes=0,
                filename_template=_template(folder, name, split),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=splits,
        filename_template=_template(folder, name, "train"),
    )
    return folder


def _template(folder, name, split):
    return tfds.core.ShardedFileTemplate(
        dataset_name=name.split("/")[0], data_dir=folder, filetype_suffix="tfrecord", split=split
    )


def _example(contents, label, label_key):
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents])),
        label_key: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
