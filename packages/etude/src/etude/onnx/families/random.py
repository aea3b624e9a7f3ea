"""Random numbers and dropout."""

from __future__ import annotations

from etude.onnx.table import differs

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("rand, randn, dropout", "draws by a generator of the runtime's own",
        "Philox, the same numbers everywhere", "refused: export the model in eval mode")
