"""Saving and loading; every model has it without a mixin."""

from smp_compat._not_provided import raises_for

__getattr__ = raises_for(__name__)
