#!/usr/bin/env bash
# Measures what docs/speed.md shows, and writes docs/speed-{steps,memory,inference,ops}.json: about
# ten minutes on two quiet cores, of which torch.compile takes three. Arguments: the Python to run,
# which has Etude, etude-cpu, torch, jax, onnxruntime, onnx and onnxscript; "python" if it is left
# out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${1:-python}

measure() {  # measure KIND [option ...]: the file is replaced once the benchmark has ended well
    local file="$here/speed-$1.json"
    "$python" -m etude bench "$@" --json > "$file.new"
    mv "$file.new" "$file"
}

measure steps --time 10
measure memory
measure inference --time 5
measure ops --threads 1  # threads of two libraries wait for one another in calls as short as these
