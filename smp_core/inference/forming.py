"""The inference form of a model, made and compared with the model."""

from __future__ import annotations

import warnings

from torch import nn

from smp_core.errors import OptionError
from smp_core.inference.arguments import copied
from smp_core.inference.checking import Check
from smp_core.inference.walking import InferenceWalk
from smp_core.layers.recomputing import stop_recomputing
from smp_core.model import SegmentationModel

# To find the part that a form has to leave as it is: as many forms are made at most.
_MOST_ATTEMPTS = 24
_WHY = (
    "Something in it computes by what it is given or by what its parts are (isinstance, an attribute of a norm, a "
    "count of its calls), which calls do not show; its class can say by inference_form what it becomes"
)


def form_of(model: SegmentationModel) -> nn.Module:
    """The inference form of a copy of a model, in which is left as it is what would give other numbers else.

    A warning names that part.

    Raises:
        OptionError: the model cannot be copied.
        PluginError: of an ``inference_form``.
    """
    taken = _in_evaluation(copied(model))
    check = Check(taken)
    with check.keeping_generators():
        form = InferenceWalk(taken)(taken)
    deviation = check.deviation(form)
    if deviation:
        form, path = _with_a_part_left(model, check)
        warnings.warn(
            f"optimize: {repr(path) if path else 'the model'} is left as it is. Taken apart, the model gave other "
            f"numbers for an image of noise (by {deviation:.2g} of the spread of the scores). {_WHY}",
            RuntimeWarning,
            stacklevel=3,
        )
    return form


def form_in_place(model: SegmentationModel) -> nn.Module:
    """The inference form that a model itself becomes.

    Raises:
        OptionError: it gives other numbers.
        PluginError: of an ``inference_form``.
    """
    check = Check(_in_evaluation(model))
    with check.keeping_generators():
        form = InferenceWalk(model)(model)
    deviation = check.deviation(form)
    if deviation:
        raise OptionError(
            "optimize: taken apart, the model gave other numbers for an image of noise (by "
            f"{deviation:.2g} of the spread of the scores). {_WHY}. Without inplace=True it is left as it is"
        )
    return form


def _with_a_part_left(model: SegmentationModel, check: Check) -> tuple[nn.Module, str]:
    """A form that gives what the model gives, and the path of the part that it had to leave.

    That is the smallest found that calls parts of its own; the empty path stands for all of the model.
    """
    best, path, attempts = _leaving(model, "", check), "", 0
    while True:
        for name, part in model.get_submodule(path)._modules.items():
            if part is None or not part._modules or attempts >= _MOST_ATTEMPTS:
                continue
            attempts += 1
            within = f"{path}.{name}".lstrip(".")
            form = _leaving(model, within, check)
            if not check.deviation(form):
                best, path = form, within
                break
        else:
            return best, path


def _leaving(model: SegmentationModel, path: str, check: Check) -> nn.Module:
    taken = _in_evaluation(copied(model))
    with check.keeping_generators():
        return InferenceWalk(taken, left=[taken.get_submodule(path)])(taken)


def _in_evaluation(model: SegmentationModel) -> SegmentationModel:
    stop_recomputing(model)
    model.eval()
    model.requires_grad_(False)
    return model
