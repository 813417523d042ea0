"""The base class of all models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

import smp_core
from smp_compat._errors import NotProvidedError, SizeError, keys_as_in_smp
from smp_compat._not_provided import raises_for, refuse_force_download
from smp_compat._seeds.model import build
from smp_compat._strictness import are_sizes_strict
from smp_compat.base import own_classes
from smp_compat.base.heads import keep_activation
from smp_compat.base.initialization import initialize_decoder, initialize_head
from smp_compat.base.modules import made
from smp_compat.base.utils import is_torch_compiling
from smp_compat.encoders._registered import spec_of
from smp_core.errors import CheckpointError, OptionError, UnknownArchitectureError
from smp_core.finetuning import Frozen
from smp_core.registry import resolve_architecture
from smp_core.tensors.saving import upload

__all__ = ["SegmentationModel", "is_torch_compiling"]


# What a model's config holds beside the arguments of its class: Unet(**model.config) is Unet(**arguments).
_OF_CONFIGS = ("_model_class", "_smp_core")

_Model = TypeVar("_Model", bound="SegmentationModel")


class SegmentationModel(smp_core.SegmentationModel):
    """A model with SMP's methods beside those of `smp_core.SegmentationModel`, whose parts may be set one by one.

    A subclass of a user's own calls ``super().__init__()`` without arguments and sets ``encoder``, ``decoder``,
    ``segmentation_head`` and perhaps ``classification_head``.

    Attributes:
        name: short name of architecture and encoder, as SMP has it.
        requires_divisible_input_shape: whether SMP's model of this name takes only sizes that its encoder's output
            stride divides. Here every model takes any; see `smp_compat.strict_sizes`.
    """

    requires_divisible_input_shape: ClassVar[bool] = True

    # Whether SMP initialises decoder and heads, or leaves them as torch made them.
    _initializes: ClassVar[bool] = True

    # SMP's short name of the architecture, and ours.
    _short_name: ClassVar[str] = ""
    _architecture: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class of the user's own that has a constructor keeps what it is called with, by which it is saved."""
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls) and own_classes.builds_itself(cls):
            cls.__init__ = own_classes.keeping_arguments(cls.__init__)  # type: ignore[method-assign]

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.classification_head = None
        self.size_multiple = 1
        self.preprocessing = None
        self.name = ""
        self._channels_last = False
        self._blueprint = None
        self._frozen = Frozen()

    def _build(self, encoder_name: str, options: dict[str, Any], encoder_options: dict[str, Any]) -> None:
        """Become the model that `smp_core.create` makes."""
        spec_of(encoder_name)  # what is wrong with one of the program's own is said as it is
        for name in _OF_CONFIGS:
            encoder_options.pop(name, None)
        options["activation"] = made(options.get("activation"))
        if isinstance(options.get("aux_params"), dict) and "activation" in options["aux_params"]:
            options["aux_params"] = {**options["aux_params"], "activation": made(options["aux_params"]["activation"])}
        former = resolve_architecture(self._architecture).spec.former_options
        for name in former.keys() & encoder_options.keys():
            value = encoder_options.pop(name)
            if former[name].wins:  # others have long been ignored
                del options[former[name].now]
                options[name] = value
        try:
            with keys_as_in_smp():
                built = build(
                    smp_core.blueprint(
                        self._architecture, encoder_name, encoder_options=encoder_options or None, **options
                    )
                )
        except OptionError as error:
            # What is no argument of the class is taken for one of the encoder's, which knows nothing of the class's.
            meant = [found[0] for name in encoder_options if (found := get_close_matches(name, options))]
            if not meant or not str(error).startswith("encoder_options"):
                raise
            raise OptionError(f"did you mean {' and '.join(map(repr, meant))}? {error}") from error
        self._become(built)
        if self._initializes:
            self.initialize()

    def _become(self, built: nn.Module) -> None:
        for name in built._modules:
            self.__dict__.pop(name, None)  # None until now
        self.__dict__.update(built.__dict__)
        keep_activation(self.segmentation_head)
        keep_activation(self.classification_head)
        self.name = f"{self._short_name}-{self._encoder_name()}"

    def _encoder_name(self) -> str:
        encoder = self._blueprint.encoder if self._blueprint is not None else None
        return encoder.spec.name if encoder is not None else "encoder"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As `smp_core.SegmentationModel`; within `smp_compat.strict_sizes` it refuses what SMP refuses.

        Raises:
            RuntimeError: a size that SMP refuses, within `smp_compat.strict_sizes`.
        """
        if self.requires_divisible_input_shape and are_sizes_strict() and args and isinstance(args[0], Tensor):
            self.check_input_shape(args[0])
        return super().__call__(*args, **kwargs)

    _calls_forward = __call__

    def initialize(self) -> None:
        """Initialise the decoder and the heads anew, as they are when they are built."""
        initialize_decoder(self.decoder)
        initialize_head(self.segmentation_head)
        if self.classification_head is not None:
            initialize_head(self.classification_head)

    def check_input_shape(self, x: Tensor) -> None:
        """Refuse a size that SMP's models refuse; models here take it, and do not ask.

        Args:
            x: (N, C, H, W).

        Raises:
            RuntimeError: height or width is no multiple of the encoder's output stride.
        """
        height, width = x.shape[-2:]
        reductions: Sequence[int] = self.encoder.reductions  # type: ignore[assignment]
        stride = reductions[-1]
        if height % stride or width % stride:
            up = tuple(-(-size // stride) * stride for size in (height, width))
            raise SizeError(
                f"expected height and width to be multiples of {stride}, got {height}x{width}; pad the images to "
                f"{up[0]}x{up[1]}, or leave smp_compat.strict_sizes(): models here take any size"
            )

    @classmethod
    def from_pretrained(
        cls: type[_Model], pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any
    ) -> _Model:
        """Load a saved model of this class: SMP's, or ours; see `smp_core.from_pretrained`.

        Args:
            pretrained_model_name_or_path: a folder, or a Hub repository.
            *args, **kwargs: ``token``, ``cache_dir``, ``local_files_only``, ``revision``, ``strict``, ``map_location``,
                and arguments of the model that replace what was saved.

        Returns:
            The model, in evaluation mode. A class of your own that has a constructor is called with the saved arguments
            that it takes.

        Raises:
            CheckpointError: it is of another class, or see `smp_core.from_pretrained`.
            NotProvidedError: ``force_download``.
        """
        if own_classes.builds_itself(cls):
            return own_classes.load_own(cls, pretrained_model_name_or_path, *args, **kwargs)
        loaded = cls._load(pretrained_model_name_or_path, *args, **kwargs)
        if not issubclass(cls, type(loaded)):
            raise CheckpointError(
                f"{str(pretrained_model_name_or_path)!r} holds a {type(loaded).__name__}, no {cls.__name__}; "
                "smp_compat.from_pretrained loads whichever it is"
            )
        return cls._of(loaded)

    @staticmethod
    def _load(
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> smp_core.SegmentationModel:
        refuse_force_download(force_download)
        try:
            return smp_core.from_pretrained(
                pretrained_model_name_or_path,
                token=token if isinstance(token, str) else None,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                revision=revision,
                **model_kwargs,
            )
        except UnknownArchitectureError as error:
            raise CheckpointError(
                f"{error}; a model of a class of your own is loaded by that class's from_pretrained"
            ) from error

    @classmethod
    def _of(cls: type[_Model], loaded: smp_core.SegmentationModel) -> _Model:
        """A loaded model as one of this class."""
        model = cls.__new__(cls)
        SegmentationModel.__init__(model)
        model._become(loaded)
        return model

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        config: dict[str, Any] | None = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write what both SMP and we read; see `smp_core.SegmentationModel.save_pretrained`.

        Of a class of your own that has a constructor the arguments are written that it was called with, as SMP does:
        the class loads it again.

        Args:
            save_directory: folder.
            config: not provided; the config is what rebuilds the model.
            repo_id: to upload to.
            push_to_hub: also upload.
            model_card_kwargs: ``dataset`` and ``metrics``, for the card.
            **push_to_hub_kwargs: arguments of `push_to_hub`; ``dataset`` and ``metrics`` for the card, too.

        Returns:
            The URL of the repository where it was uploaded.

        Raises:
            CheckpointError: see `smp_core.SegmentationModel.save_pretrained`.
        """
        _refuse_config(config)
        card, options = _card(model_card_kwargs, push_to_hub_kwargs)
        self._write(save_directory, card)
        if push_to_hub:
            return self.push_to_hub(repo_id or Path(save_directory).resolve().name, model_card_kwargs=card, **options)
        return None

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        config: dict[str, Any] | None = None,
        commit_message: str = "Push model using huggingface_hub.",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        allow_patterns: list[str] | str | None = None,
        ignore_patterns: list[str] | str | None = None,
        delete_patterns: list[str] | str | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes to a Hub repository, making it where it is missing.

        Args:
            repo_id: ``"owner/name"``.
            config: not provided; the config is what rebuilds the model.
            commit_message, branch, create_pr, allow_patterns, ignore_patterns, delete_patterns: of the commit; see
                `huggingface_hub.HfApi.upload_folder`.
            private: whether a new repository is private.
            token: access token; by default the one that ``hf auth login`` stored.
            model_card_kwargs: ``dataset`` and ``metrics``, for the card.

        Returns:
            The URL of the repository.

        Raises:
            CheckpointError: the model cannot be saved, or not be uploaded.
        """
        _refuse_config(config)
        with tempfile.TemporaryDirectory() as folder:
            self._write(folder, _card(model_card_kwargs, {})[0])
            return upload(
                Path(folder),
                repo_id,
                private=bool(private),
                token=token,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
                allow_patterns=allow_patterns,
                ignore_patterns=ignore_patterns,
                delete_patterns=delete_patterns,
            )

    def _write(self, folder: str | Path, card: dict[str, Any]) -> None:
        if own_classes.builds_itself(type(self)):
            own_classes.save(self, folder, card)
        else:
            super().save_pretrained(folder, format="smp", **card)


def _refuse_config(config: object) -> None:
    if config is not None:
        raise NotProvidedError(
            "config= is not provided: config.json is what rebuilds the model; change model.config in a copy of the "
            "folder if you need other keys there"
        )


def _card(given: dict[str, Any] | None, others: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is for the card, and the rest; ``dataset`` and ``metrics`` may be in either."""
    options = {**(given or {}), **others}
    return {key: options.pop(key) for key in ("dataset", "metrics") if key in options}, options


__getattr__ = raises_for(__name__)
