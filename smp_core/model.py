"""The template of every segmentation model: encoder, decoder, heads."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.blueprints.value import Blueprint
from smp_core.encoder import channels_of, check_encoder
from smp_core.errors import PluginError
from smp_core.feature_checks import check_dilation
from smp_core.finetuning import (
    Frozen,
    freeze,
    hold_statistics,
    parameter_groups,
    set_gradient_checkpointing,
    unfreeze,
)
from smp_core.input_checks import check_input, too_small
from smp_core.inputs import Preprocessing
from smp_core.labelling import labels_of_head, labels_of_masks, wanting_labels
from smp_core.layers import rows_innermost
from smp_core.layers.layout import image_layout
from smp_core.predicting import evaluating
from smp_core.tensors.fitting import fitting
from smp_core.tensors.saving import Format, push_to_hub, save_pretrained, upload
from smp_core.tensors.spelling import encoder_of


class SegmentationModel(nn.Module):
    """Encoder, decoder and head(s), built from parts that exist already.

    Args:
        encoder: an `smp_core.Encoder`.
        decoder: called with the encoder's features; has ``out_channels`` and ``reduction``.
        segmentation_head: maps the decoder's output to class scores at the input's resolution.
        classification_head: maps the deepest feature to scores per image, or None.
        size_multiple: the input is padded with zeros, right and bottom, to a multiple of this in height and width,
            and the result cropped; 1 for a decoder that takes any size.

    Attributes:
        in_channels: channels of the input that the encoder takes as it is now; 0 where it does not say.
        preprocessing: how pixel values become this model's input, or None where nobody said; it is saved along.

    Raises:
        EncoderProtocolError: the encoder does not satisfy the protocol.
    """

    # TorchScript would compile properties; these are for people.
    __jit_unused_properties__: ClassVar[list[str]] = ["blueprint", "config", "in_channels"]

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        segmentation_head: nn.Module,
        classification_head: nn.Module | None = None,
        *,
        size_multiple: int = 1,
    ) -> None:
        super().__init__()
        check_encoder(encoder)
        self.encoder = encoder
        self.decoder = decoder
        self.segmentation_head = segmentation_head
        self.classification_head = classification_head
        self.size_multiple = size_multiple
        self._channels_last = bool(getattr(encoder, "channels_last", False))
        self.preprocessing: Preprocessing | None = None
        self._blueprint: Blueprint | None = None
        self._frozen = Frozen()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Segment a batch of images of any size.

        Args:
            x: (N, in_channels, H, W), the dtype of the parameters, preprocessed.

        Returns:
            Masks (N, classes, H, W), with a classification head the pair of masks and labels (N, aux classes). Where
            the segmentation head does not undo what the encoder reduces, masks are smaller or larger, rounded up.

        Raises:
            InputError: another number of dimensions or channels, an empty image, or another dtype.
            EncoderProtocolError: an encoder that says to be dilated, and gives smaller features.
        """
        features = self.encoder(self._prepared(x))
        return self._results(self.decoder(features), features, x)

    # Beside a `forward` that returns what `_results` gives, and does nothing with it: it may be labels in place of
    # masks. A subclass with another `forward` or `__call__` that does so, too, says it again.
    _ends_in_results = forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward` with hooks, as of any module; what a batch is too small for is said in words of this model.

        Raises:
            InputError: see `forward`. Or in training, where normalisation layers find a single value per channel.
        """
        try:
            return super().__call__(*args, **kwargs)
        except ValueError as error:
            wrong = too_small(error, *args, *kwargs.values())
            if wrong is None:
                raise
            raise wrong from error

    _calls_forward = __call__

    def _prepared(self, x: Tensor) -> Tensor:
        """What the encoder is given: the input, checked, padded, and laid out as the encoder likes it."""
        if not torch.jit.is_scripting():
            check_input(self, x)
        image = self._pad(x)
        return image_layout(image) if self._channels_last else image

    def _results(self, decoded: Tensor, features: list[Tensor], x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """What `forward` returns, of the decoder's output, the encoder's features and the input."""
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if not torch.compiler.is_compiling():
                height, width = x.shape[2] + self._missing(x.shape[2]), x.shape[3] + self._missing(x.shape[3])
                check_dilation(self.encoder, features, height, width)
                labels = labels_of_head(self, decoded)
                if labels is not None:
                    cropped = self._crop(labels, x.shape[2], x.shape[3])
                    return (
                        cropped
                        if self.classification_head is None
                        else (cropped, self.classification_head(features[-1]))
                    )
        masks = self.segmentation_head(decoded)
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if isinstance(masks, (tuple, list, dict)):  # of a head that somebody put there: as it is
                return masks  # type: ignore[return-value]
        masks = rows_innermost(self._crop(masks, x.shape[2], x.shape[3]))
        if self.classification_head is not None:
            return masks, self.classification_head(features[-1])
        return masks

    def _pad(self, x: Tensor) -> Tensor:
        if self.size_multiple == 1:
            return x
        return functional.pad(x, [0, self._missing(x.shape[3]), 0, self._missing(x.shape[2])])

    def _missing(self, size: int) -> int:
        """Pixels up to the next multiple. Written without a negative modulus, which torch's compiler cannot take."""
        return (size + self.size_multiple - 1) // self.size_multiple * self.size_multiple - size

    def _crop(self, masks: Tensor, height: int, width: int) -> Tensor:
        """Cut off what comes of the pixels that `_pad` added to an input of this size."""
        if self.size_multiple == 1:
            return masks
        # Of masks, or labels (N, H, W), that are smaller or larger than the input, as large a part as of the input.
        missing_rows, missing_columns = self._missing(height), self._missing(width)
        rows = missing_rows * masks.shape[-2] // (height + missing_rows)
        columns = missing_columns * masks.shape[-1] // (width + missing_columns)
        if not torch.jit.is_scripting():  # noqa: SIM102  # TorchScript skips a branch only under this very condition
            if torch.compiler.is_compiling():
                # A slice up to a symbolic size has to be proved no larger than the map; less padding has not.
                return functional.pad(masks, [0, -columns, 0, -rows])
        # Of a head that gives no maps at all this is an error, not fewer of them.
        return masks[:, ..., : masks.shape[-2] - rows, : masks.shape[-1] - columns]

    @property
    def in_channels(self) -> int:
        """See the class."""
        return channels_of(encoder_of(self)[0])

    @torch.inference_mode()
    def predict(self, x: Tensor, *, labels: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """`forward` in evaluation mode and without gradients; every module's training flag is restored afterwards.

        Several threads may predict at once. A thread that trains the same model meanwhile trains in evaluation mode.

        Args:
            x: as for `forward`.
            labels: give the index of the largest score of each pixel, (N, H, W), int64, in place of masks; of one class
                1 where the score is above 0, or with a sigmoid above 0.5. Where the head enlarges its scores they are
                never all held at full resolution; but where somebody's own ``forward`` or hook is given the masks.

        Raises:
            InputError: as `forward`.
            OptionError: labels of one class with another activation, or of a head that gives no tensor.
        """
        with evaluating(self), wanting_labels(self, SegmentationModel._results) if labels else contextlib.nullcontext():
            result: Tensor | tuple[Tensor, Tensor] = self(x)
        if not labels:
            return result
        if isinstance(result, tuple):
            return labels_of_masks(self, result[0]), result[1]
        return labels_of_masks(self, result)

    def freeze_encoder(self, stages: int | None = None) -> None:
        """Keep the encoder as it is: its parameters get no gradient, its normalisation statistics do not move.

        Holds through `train`, until `unfreeze_encoder`, or another call, which replaces it. A neck, which is new, stays
        trainable.

        Args:
            stages: how many of the encoder's first stages, see `smp_core.Encoder`; by default the whole encoder.

        Raises:
            OptionError: not a number of stages that the encoder has, or one that does not name them. Lists them.
        """
        self._frozen = freeze(encoder_of(self)[0], stages, before=self._frozen)
        self.train(self.training)

    def unfreeze_encoder(self) -> None:
        """Undo `freeze_encoder`: parameters that were trainable before are so again."""
        unfreeze(encoder_of(self)[0], self._frozen)
        self._frozen = Frozen()
        self.train(self.training)

    def train(self, mode: bool = True) -> SegmentationModel:
        """Set the training mode; a frozen encoder's normalisation layers stay in evaluation mode."""
        super().train(mode)
        if self._frozen.parts:
            hold_statistics(encoder_of(self)[0], self._frozen)
        return self

    def parameter_groups(
        self,
        *,
        lr: float,
        weight_decay: float = 0.01,
        layer_decay: float | None = None,
        encoder_lr: float | None = None,
    ) -> list[dict[str, Any]]:
        """The trainable parameters, each once, as groups for any of torch's optimizers.

        Args:
            lr: learning rate.
            weight_decay: not of norms, biases, layer scales and position embeddings.
            layer_decay: by which the encoder's rate falls from stage to stage, towards the stem; None for one rate.
            encoder_lr: learning rate of the encoder, where it is another.

        Returns:
            Dicts of ``params``, ``lr``, ``weight_decay`` and ``name``; see `smp_core.finetuning.parameter_groups`.

        Raises:
            OptionError: lists every value that is wrong. Or ``layer_decay``, but an encoder that names no stages.
        """
        return parameter_groups(self, lr=lr, weight_decay=weight_decay, layer_decay=layer_decay, encoder_lr=encoder_lr)

    def set_gradient_checkpointing(self, enabled: bool = True) -> None:
        """Recompute the encoder's activations in the backward pass: less memory, more time, the same numbers.

        A switch of training, which is not saved; see `smp_core.finetuning.set_gradient_checkpointing`.

        Args:
            enabled: False keeps the activations again.

        Raises:
            OptionError: an encoder that does not name its stages, or has no blocks in them.
        """
        set_gradient_checkpointing(encoder_of(self)[0], enabled)

    @property
    def blueprint(self) -> Blueprint | None:
        """What the model was built from, with its preprocessing as it is now; `smp_core.build` makes another one.

        None for a model that smp_core did not build.

        Raises:
            OptionError: ``preprocessing`` was set to what is none.
        """
        if self._blueprint is None or self._blueprint.preprocessing == self.preprocessing:
            return self._blueprint
        return dataclasses.replace(self._blueprint, preprocessing=Preprocessing.of(self.preprocessing))

    @property
    def config(self) -> dict[str, Any]:
        """What rebuilds the model: SMP's keys, and under ``_smp_core`` who provided what. A copy; JSON-able.

        Empty for a model that smp_core did not build.
        """
        blueprint = self.blueprint
        return blueprint.to_config() if blueprint is not None else {}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As `torch.nn.Module.load_state_dict`; the caller's dict is never changed.

        Args:
            state_dict: in our spelling or in that of published weights.
            strict: whether a missing or unexpected key, or a tensor of another shape, is an error. Otherwise tensors of
                other shapes are left as they are, with a warning that lists them.
            assign: whether the model takes the tensors themselves.
        """
        return super().load_state_dict(state_dict if strict else fitting(self, state_dict), strict, assign)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        dataset: str | None = None,
        metrics: Mapping[str, object] | None = None,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        private: bool = False,
        token: str | None = None,
        format: Format = "smp_core",
        max_shard_size: int | str | None = None,
    ) -> Path:
        """Write ``config.json``, ``model.safetensors`` and a model card; see `smp_core.tensors.saving.save_pretrained`.

        Args:
            folder: where to; made where it is missing, files of the same name are replaced.
            dataset: what the model was trained on, for the card.
            metrics: name to value, for the card.
            push_to_hub: also upload the folder.
            repo_id: ``"owner/name"`` to upload to; by default the folder's name, under the user's own.
            private, token: as for `push_to_hub`.
            format: ``"smp"`` writes what segmentation_models_pytorch loads at any depth; ``"smp_core"`` no parameter
                that the model does not have.
            max_shard_size: bytes, or ``"5GB"``: tensors beyond are written to several files.

        Returns:
            The folder.

        Raises:
            CheckpointError: nothing could rebuild the model; says what was changed. Or writing or uploading failed.
        """
        written = save_pretrained(
            self, folder, dataset=dataset, metrics=metrics, format=format, max_shard_size=max_shard_size
        )
        if push_to_hub:
            upload(written, repo_id or written.resolve().name, private=private, token=token)
        return written

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | None = None,
        dataset: str | None = None,
        metrics: Mapping[str, object] | None = None,
        format: Format = "smp_core",
        max_shard_size: int | str | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes to a Hugging Face Hub repository, making it where it is missing.

        Args:
            repo_id: ``"owner/name"``.
            private: whether a new repository is private.
            token: access token; by default the one that ``hf auth login`` stored.
            dataset, metrics, format, max_shard_size: as for `save_pretrained`.

        Returns:
            The URL of the repository.

        Raises:
            CheckpointError: the model cannot be saved, or not be uploaded: no connection, no permission.
        """
        return push_to_hub(
            self,
            repo_id,
            private=private,
            token=token,
            dataset=dataset,
            metrics=metrics,
            format=format,
            max_shard_size=max_shard_size,
        )


def adopt(module: nn.Module, blueprint: Blueprint, *, training: bool = True) -> SegmentationModel:
    """Check that a built module is a model, and give it the blueprint that it was built from, and its mode.

    Raises:
        PluginError: the architecture built something else.
    """
    if not isinstance(module, SegmentationModel):
        raise PluginError(
            f"{blueprint.architecture.title}: its target built a {type(module).__name__}; expected an "
            "smp_core.SegmentationModel"
        )
    module._blueprint = blueprint
    module.preprocessing = blueprint.preprocessing
    return module.train(training)
