#!/usr/bin/env bash
# safetensors 0.8.0: load(bytes) returns the tensors of one file in another order at every call,
# load_file of the same bytes always in the file's.
#
# Versions   safetensors 0.8.0, and the same with 0.4.5; numpy 2.4.6.
# Expected   One order for one file. Python's dicts keep theirs, json.loads of the header gives the
#            order of the file, and load_file of the same package does too.
# Seen       load and deserialize hand out the header in the order of a hash map with a seed of its
#            own: six tensors come in nearly as many orders as there are calls, in one process and
#            with PYTHONHASHSEED=0. Names and values are right each time.
# Matters    Code that pairs tensors by position (zip with a model's parameters), adds them up (a
#            norm of all weights, whose last bits depend on the order) or hashes them gets something
#            else from run to run, and only where the file came as bytes: from a network, an archive
#            or a test. Take the names in the order of the header, or sort them.
# Source     In the Rust crate, the iterator of SafeTensors goes through index_map, a HashMap from
#            names to places; load_file asks the file object for its names, which come in order.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/look.py" <<'PYTHON'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save

CALLS = 50
path, names = sys.argv[1], [f"layer{i}" for i in range(6)]
data = save({name: np.full(2, i) for i, name in enumerate(names)})
with open(path, "wb") as file:
    file.write(data)
from_bytes = [load(data) for _ in range(CALLS)]
orders = {"load": {tuple(found) for found in from_bytes},
          "deserialize": {tuple(n for n, _ in safetensors.deserialize(data)) for _ in range(CALLS)},
          "load_file": {tuple(load_file(path)) for _ in range(CALLS)}}
for call, found in orders.items():
    print(f"{safetensors.__version__}  {CALLS} calls of {call:12} {len(found):2} orders, "
          f"such as {' '.join(n[-1] for n in min(found))}, {' '.join(n[-1] for n in max(found))}")
right = all(found[name][0] == i for found in from_bytes for i, name in enumerate(names))
if not right or orders["load_file"] != {tuple(names)} or min(
        len(orders["load"]), len(orders["deserialize"])) < 2:
    sys.exit(f"CHANGED: safetensors {safetensors.__version__} does otherwise")
PYTHON

for version in 0.4.5 0.8.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --no-compile --disable-pip-version-check \
        "safetensors==$version" numpy==2.4.6
    PYTHONHASHSEED=0 "$work/$version/bin/python" "$work/look.py" "$work/x.safetensors"
done
echo "as found"
