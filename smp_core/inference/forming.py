"""The inference form of a model, made and compared with the model."""

from __future__ import annotations

import contextlib
import warnings

import torch
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

    A warning names that part, or says why nothing was compared. A model of half precision is compared in float32, in
    which rounding hides less.

    Raises:
        OptionError: the model cannot be copied.
        PluginError: of an ``inference_form``.
    """
    taken = _copy_to_compare(model)
    check = Check(taken)
    form = _walked(taken, check)
    deviation, path = check.deviation(form), None
    if deviation:
        form, path = _with_a_part_left(model, check)
        warnings.warn(
            f"optimize: {repr(path) if path else 'the model'} is left as it is. Taken apart, the model gave other "
            f"numbers for an image of noise (by {deviation:.2g} of the spread of the scores). {_WHY}",
            RuntimeWarning,
            stacklevel=3,
        )
    _say_if_not_compared(check)
    return _walked(_in_evaluation(copied(model)), check, path) if _is_half(model) else form


def form_in_place(model: SegmentationModel) -> nn.Module:
    """The inference form that a model itself becomes.

    Raises:
        OptionError: it gives other numbers.
        PluginError: of an ``inference_form``.
    """
    judged = _in_evaluation(model)
    if _is_half(model):
        with contextlib.suppress(OptionError):  # what cannot be copied is compared as it is
            judged = _copy_to_compare(model)
    check = Check(judged)
    form = _walked(judged, check)
    deviation = check.deviation(form)
    if deviation:
        raise OptionError(
            "optimize: taken apart, the model gave other numbers for an image of noise (by "
            f"{deviation:.2g} of the spread of the scores). {_WHY}. Without inplace=True it is left as it is"
        )
    _say_if_not_compared(check)
    return form if judged is model else _walked(model, check)


def _say_if_not_compared(check: Check) -> None:
    if check.why_not is not None:
        warnings.warn(
            "optimize: the inference form is not compared with the model, which was to be run on an image of noise of "
            f"64x96 pixels ({check.why_not}); compare them on an image of your own",
            RuntimeWarning,
            stacklevel=4,
        )


def _with_a_part_left(model: SegmentationModel, check: Check) -> tuple[nn.Module, str]:
    """A form that gives what the model gives, and the path of the part that it had to leave.

    That is the smallest found that calls parts of its own; the empty path stands for all of the model.
    """
    best, path, attempts = _walked(_copy_to_compare(model), check, ""), "", 0
    while True:
        for name, part in model.get_submodule(path)._modules.items():
            if part is None or not part._modules or attempts >= _MOST_ATTEMPTS:
                continue
            attempts += 1
            within = f"{path}.{name}".lstrip(".")
            form = _walked(_copy_to_compare(model), check, within)
            if not check.deviation(form):
                best, path = form, within
                break
        else:
            return best, path


def _walked(taken: SegmentationModel, check: Check, left: str | None = None) -> nn.Module:
    """The form that a model becomes, in which the part at a path is left."""
    with check.keeping_generators():
        return InferenceWalk(taken, left=[] if left is None else [taken.get_submodule(left)])(taken)


def _copy_to_compare(model: SegmentationModel) -> SegmentationModel:
    taken = _in_evaluation(copied(model))
    return taken.float() if _is_half(model) else taken


def _is_half(model: SegmentationModel) -> bool:
    first = next((item.dtype for item in model.parameters() if item.is_floating_point()), torch.float32)
    return first in (torch.float16, torch.bfloat16)


def _in_evaluation(model: SegmentationModel) -> SegmentationModel:
    stop_recomputing(model)
    model.eval()
    model.requires_grad_(False)
    return model
