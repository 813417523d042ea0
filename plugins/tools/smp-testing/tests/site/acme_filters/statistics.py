import warnings

warnings.filterwarnings("ignore", message="acme_filters is approximate")


def gaussian(size, width):
    """A normalised bell of an odd size, as a list."""
    middle = size // 2
    values = [2.0 ** -(((index - middle) / width) ** 2) for index in range(size)]
    return [value / sum(values) for value in values]
