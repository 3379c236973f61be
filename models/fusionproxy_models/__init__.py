"""Students, teacher ensembles, distillation and ONNX export for fusionproxy."""

__version__ = "0.1.0"
