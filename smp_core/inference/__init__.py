"""From a trained model to its inference form: one sub-package, entered by `smp_core.optimize`.

Plugins import `Walk` from here, for the ``inference_form`` of their modules.
"""

from smp_core.inference.protocol import HasInferenceForm, Walk

__all__ = ["HasInferenceForm", "Walk"]
