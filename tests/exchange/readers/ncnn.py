"""ncnn reads what pnnx makes of ONNX. It knows no batch: one sample after another.

python ncnn.py MODEL INPUTS OUTPUTS
"""

import subprocess
import sys
from pathlib import Path

import ncnn
import numpy as np

model, inputs, outputs = sys.argv[1:]
given = dict(np.load(inputs))
kinds = {"float32": "f32", "int64": "i64"}
shapes = ",".join(f"[{','.join(map(str, (1, *x.shape[1:])))}]{kinds[x.dtype.name]}"
                  for x in given.values())
stem = str(Path(outputs).with_suffix(""))
subprocess.run([str(Path(sys.executable).with_name("pnnx")), model, f"inputshape={shapes}",
                "fp16=0", f"ncnnparam={stem}.param", f"ncnnbin={stem}.bin",
                f"pnnxparam={stem}.pnnx.param", f"pnnxbin={stem}.pnnx.bin",
                f"pnnxpy={stem}_pnnx.py", f"ncnnpy={stem}_ncnn.py", f"pnnxonnx={stem}.pnnx.onnx"],
               check=True)
net = ncnn.Net()
net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = False
net.opt.use_bf16_storage = False
net.opt.num_threads = 1
if net.load_param(f"{stem}.param") or net.load_model(f"{stem}.bin"):
    raise SystemExit("ncnn does not load what pnnx made")
rows = []
for i in range(len(next(iter(given.values())))):
    run = net.create_extractor()
    for name, x in zip(net.input_names(), given.values()):
        sample = np.ascontiguousarray(x[i])
        sample = sample.astype(np.int32) if sample.dtype.kind == "i" else sample
        if run.input(name, ncnn.Mat(sample).clone()):
            raise SystemExit(f"ncnn does not take the input {name}")
    status, y = run.extract(net.output_names()[0])
    if status:
        raise SystemExit(f"ncnn does not compute the output: {status}")
    rows.append(np.array(y))
np.savez(outputs, np.stack(rows))
