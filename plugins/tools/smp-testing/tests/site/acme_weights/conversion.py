PREFIX = "backbone."


def without_prefix(state_dict):
    return {key.removeprefix(PREFIX): value for key, value in state_dict.items()}


def in_place(state_dict):
    for key in [*state_dict]:
        state_dict[key.removeprefix(PREFIX)] = state_dict.pop(key)


def to_pairs(state_dict):
    return [*without_prefix(state_dict).items()]


def to_arrays(state_dict):
    return {key: value.numpy() for key, value in without_prefix(state_dict).items()}


def of_other_keys(state_dict):
    return {"stages.0.0.weight": state_dict["stem.weight"]}


def half(state_dict):
    return dict([*without_prefix(state_dict).items()][::2])
