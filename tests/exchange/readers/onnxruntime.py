"""onnxruntime reads ONNX itself. python onnxruntime.py MODEL INPUTS OUTPUTS"""

import sys

import numpy as np
import onnxruntime

model, inputs, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
np.savez(outputs, *session.run(None, dict(np.load(inputs))))
