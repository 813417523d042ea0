from acme_declares.plugin import encoder

from smp_core.plugin import WeightsSpec, hookimpl

CONVERT = "acme_weights.conversion:"
FILES = {
    "Right": {"file": "acme_files:right.safetensors", "license": "CC-BY-NC-4.0"},
    "RightConverted": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}without_prefix"},
    "RightOnHub": {"repo_id": "acme/right", "convert": f"{CONVERT}without_prefix"},
    "Missing": {"file": "acme_files:missing.safetensors"},
    "OfAnotherPackage": {"file": "acme_absent:right.safetensors"},
    "Truncated": {"file": "acme_files:truncated.safetensors"},
    "Replaced": {"file": "acme_files:right.safetensors", "sha256": "0" * 64},
    "OtherShapes": {"file": "acme_files:wide.safetensors"},
    "OtherKeys": {"file": "acme_files:foreign.safetensors"},
    "Incomplete": {"file": "acme_files:incomplete.safetensors"},
    "Integers": {"file": "acme_files:integers.safetensors"},
    "Pickled": {"file": "acme_files:right.pth"},
    "PickledAnew": {"file": "acme_files:renamed.safetensors"},
    "PickledOnHub": {"repo_id": "acme/right", "filename": "pytorch_model.bin"},
    "ConvertsToNone": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}in_place"},
    "ConvertsToNoneOnHub": {"repo_id": "acme/right", "convert": f"{CONVERT}in_place"},
    "ConvertsToPairs": {"repo_id": "acme/right", "convert": f"{CONVERT}to_pairs"},
    "ConvertsToArrays": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}to_arrays"},
    "FailsToConvert": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}of_other_keys"},
    "ConvertsHalf": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}half"},
    "NamesNoConverter": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}missing"},
    "NamesNoFunction": {"file": "acme_files:prefixed.safetensors", "convert": f"{CONVERT}PREFIX"},
}


@hookimpl
def smp_encoders():
    return [
        encoder(name, "Right", weights={"set": WeightsSpec(**fields)}, default_weights="set")
        for name, fields in FILES.items()
    ]
