"""TensorFlow reads what onnx2tf makes of ONNX. python tensorflow.py MODEL INPUTS OUTPUTS"""

import sys

import numpy as np
import onnx2tf
import tensorflow as tf

model, inputs, outputs = sys.argv[1:]
given = dict(np.load(inputs))
folder = outputs + ".saved"
onnx2tf.convert(input_onnx_file_path=model, output_folder_path=folder, non_verbose=True,
                not_use_onnxsim=True, keep_shape_absolutely_input_names=list(given),
                batch_size=len(next(iter(given.values()))), output_signaturedefs=True)
run = tf.saved_model.load(folder).signatures["serving_default"]
names = list(run.structured_input_signature[1])
found = run(**{n: tf.constant(x) for n, x in zip(sorted(names), [given[k] for k in sorted(given)])})
np.savez(outputs, *[y.numpy() for y in found.values()])
