"""Numbers of things in messages."""


def counted(number: int, one: str, many: str = "") -> str:
    """`number` and what is counted: '1 frame', '2 frames'. `many` is the plural if it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
