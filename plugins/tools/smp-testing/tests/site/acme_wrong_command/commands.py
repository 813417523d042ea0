NUMBER = 3


def right(name: str) -> None:
    """Greet."""


async def waits() -> None:
    """Never runs."""
