#!/usr/bin/env bash
# The same attention module answers 0 or NaN for the same input: in training 0, in evaluation NaN.
#
# Versions   torch 2.13.0, numpy 2.4.6. (Where pip's index has only torch's CUDA build, that is a
#            large download; the CPU build does as well.)
# Expected   A query whose every key is masked has no softmax. Whatever a library answers, one
#            module with one set of weights answers it each time; need_weights is documented to say
#            whether the weights are returned as well, and the fast path of evaluation to be faster.
# Seen       nn.MultiheadAttention without dropout, one such query. need_weights=True: NaN.
#            need_weights=False: 0 while gradients are recorded, in train() and in eval(), and NaN
#            in eval() under no_grad, where the fast path runs. In train() under no_grad: 0. The
#            other queries agree throughout.
# Matters    Padding makes such rows. A model trains cleanly and its first evaluation is NaN, or the
#            NaN comes when someone asks to see the weights. So a framework must write down what an
#            empty row gives (0 is the one that composes: a sum over nothing), check each
#            implementation of attention against that, fused or not, and not take this module for an
#            oracle there. nn.functional.scaled_dot_product_attention alone gives 0.
# Source     Issue 160064 (need_weights) and pull request 190486 (fast path) of pytorch/pytorch.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import torch
from torch.nn import MultiheadAttention
from torch.nn.functional import scaled_dot_product_attention

torch.manual_seed(0)
attention = MultiheadAttention(4, 2, batch_first=True)
x = torch.randn(1, 3, 4)
masked = torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1]], dtype=torch.bool)  # query 0 sees no key


def answer(row):
    return "NaN" if row.isnan().all() else "0" if (row == 0).all() else row.tolist()


found, others = {}, []
for weights in (True, False):
    for training in (True, False):
        for recording in (True, False):
            attention.train(training)
            with torch.set_grad_enabled(recording):
                y = attention(x, x, x, attn_mask=masked, need_weights=weights)[0].detach()
            found[weights, training, recording] = answer(y[0, 0])
            others.append(y[0, 1:])
            print(f"need_weights={weights!s:5}  {'train' if training else 'eval':5}  "
                  f"{'gradients' if recording else 'no_grad':9}  empty row: {answer(y[0, 0])}")
plain = answer(scaled_dot_product_attention(x, x, x, attn_mask=~masked)[0, 0])
agree = all(torch.allclose(o, others[0], atol=1e-6) for o in others)
print(f"scaled_dot_product_attention        empty row: {plain}")
print(f"the other rows agree: {agree}")
expected = {k: "NaN" if k[0] or k[1:] == (False, False) else "0" for k in found}
if found != expected or plain != "0" or not agree:
    sys.exit("CHANGED: this finding says NaN with need_weights, and without it only in eval "
             "under no_grad; 0 elsewhere")
print("as found")
PYTHON
