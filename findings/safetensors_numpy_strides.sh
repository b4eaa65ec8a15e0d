#!/usr/bin/env bash
# safetensors 0.8.0: `safetensors.numpy.save_file` writes the memory of an array as it lies, whatever
# its strides say. A transposed array, one in Fortran's order or every other element of one comes
# back with other numbers, without a word; `safetensors.torch` refuses such tensors. It meets whoever
# brings kernels or maps from one layout into another before saving them. np.ascontiguousarray helps.
# Seen: "transposed differs", "Fortran order differs", "every other differs", "contiguous equal".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.4
"$folder/env/bin/python" - "$folder/a.safetensors" <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

a = np.arange(6.0).reshape(2, 3)
arrays = {
    "transposed": a.T,
    "Fortran order": np.asfortranarray(a),
    "every other": np.arange(12.0)[::2],
    "contiguous": a,
}
found = {}
for name, array in arrays.items():
    save_file({"x": array}, sys.argv[1])
    found[name] = bool(np.array_equal(load_file(sys.argv[1])["x"], array))
    print(name, "equal" if found[name] else "differs")
assert found == {name: name == "contiguous" for name in arrays}, "the behaviour has changed"
PYTHON
