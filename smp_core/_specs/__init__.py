"""The frozen, torch-free descriptions of encoders, necks, weights and architectures (public as `smp_core.plugin`)."""
