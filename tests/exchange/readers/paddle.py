"""Paddle reads what x2paddle makes of ONNX. python paddle.py MODEL INPUTS OUTPUTS"""

import importlib
import subprocess
import sys

import numpy as np
import paddle

CONVERT = """
import sys
from x2paddle.convert import onnx2paddle
onnx2paddle(sys.argv[1], sys.argv[2], enable_onnx_checker=False, disable_feedback=True)
"""

model, inputs, outputs = sys.argv[1:]
given = dict(np.load(inputs))
folder = outputs + ".paddle"
# In a process of its own, since it takes the names of the parameters that it makes. It ends with an
# error where the program that it wrote cannot be made static, which is not asked for here.
subprocess.run([sys.executable, "-I", "-c", CONVERT, model, folder])
sys.path.insert(0, folder)
net = importlib.import_module("x2paddle_code").ONNXModel()
net.set_dict(paddle.load(folder + "/model.pdparams"), use_structured_name=True)
net.eval()
found = net(*[paddle.to_tensor(x) for x in given.values()])
found = found if isinstance(found, (tuple, list)) else [found]
np.savez(outputs, *[y.numpy() for y in found])
