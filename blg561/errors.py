"""The errors that are the user's, apart from those that are ours."""


class InputError(ValueError):
    """What the user gave cannot be used; the message says what was expected and what came.

    The command line prints the message of an InputError as one line. Any other exception but
    TrainingDiverged is a fault of the program, and keeps its traceback.
    """


class TrainingDiverged(RuntimeError):
    """The loss or its gradient is no longer a finite number, or the loss is hopelessly large."""
