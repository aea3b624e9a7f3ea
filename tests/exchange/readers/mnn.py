"""MNN converts ONNX to a format of its own. python mnn.py MODEL INPUTS OUTPUTS"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from MNN import expr, nn

model, inputs, outputs = sys.argv[1:]
made = str(Path(outputs).with_suffix(".mnn"))
subprocess.run([str(Path(sys.executable).with_name("mnnconvert")), "-f", "ONNX", "--modelFile",
                model, "--MNNModel", made, "--bizCode", "etude"], check=True)
graph = onnx.load(model).graph
given = dict(np.load(inputs))
net = nn.load_module_from_file(made, list(given), [y.name for y in graph.output])
operands = []
for x in given.values():
    kind = expr.int if x.dtype.kind == "i" else expr.float
    x = x.astype(np.int32) if x.dtype.kind == "i" else x
    operands.append(expr.const(x, x.shape, expr.NCHW, kind))
found = net.forward(operands)
found = [found] if isinstance(found, expr.Var) else found
np.savez(outputs, *[np.array(expr.convert(y, expr.NCHW).read()) for y in found])
