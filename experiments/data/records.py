"""A prepared imagenet2012 in TFDS's array_record format, of a few generated pictures.

For --smoke and for tests: what reads it is what reads the real one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# A file beside the records that says what they are, since they are fewer than ImageNet's.
GENERATED = "GENERATED"

# The number, and so the class, of the first picture of each split.
FIRST = {"train": 0, "validation": 500}


def picture(number: int) -> Image.Image:
    """A smooth picture of its own size and colours."""
    rng = np.random.default_rng(number)
    height, width = rng.integers(60, 120, 2)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
    return small.resize((int(width), int(height)), Image.Resampling.BICUBIC)


def record(number: int) -> bytes:
    """A serialised example: JPEG, label, file name."""
    from tensorflow_datasets.proto import tf_example_pb2

    encoded = io.BytesIO()
    picture(number).save(encoded, "JPEG", quality=95)
    messages: Any = tf_example_pb2  # made when it is imported: type checkers do not see them
    example = messages.Example()
    features = example.features.feature
    features["image"].bytes_list.value.append(encoded.getvalue())
    features["label"].int64_list.value.append(number % 1000)
    features["file_name"].bytes_list.value.append(f"n{number:08}.JPEG".encode())
    return example.SerializeToString()


def write(
    data_dir: Path, train: Sequence[int] = (10, 14), validation: Sequence[int] = (7,)
) -> Path:
    """Shards of so many pictures each; the folder of the prepared set."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    builder: Any = tfds.builder("imagenet2012", data_dir=data_dir, file_format="array_record")
    folder = Path(builder.data_path)
    folder.mkdir(parents=True)
    builder.info.features.save_config(str(folder))
    splits = []
    for split, shards in (("train", train), ("validation", validation)):
        number = FIRST[split]
        for shard, count in enumerate(shards):
            name = f"imagenet2012-{split}.array_record-{shard:05}-of-{len(shards):05}"
            writer = ArrayRecordWriter(str(folder / name), "group_size:1")
            for _ in range(count):
                writer.write(record(number))
                number += 1
            writer.close()
        splits.append(
            {
                "name": split,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": "0",
                "shardLengths": [str(count) for count in shards],
            }
        )
    about = {
        "name": "imagenet2012",
        "version": str(builder.version),
        "moduleName": "tensorflow_datasets.datasets.imagenet2012.imagenet2012_dataset_builder",
        "fileFormat": "array_record",
        "splits": splits,
    }
    (folder / "dataset_info.json").write_text(json.dumps(about))
    (folder / GENERATED).touch()
    return folder
