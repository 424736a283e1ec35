"""The one error that the command line turns into a sentence instead of a traceback."""


class UserError(ValueError):
    """Something the reader can mend: a wrong name, a missing or damaged file. The message is one sentence."""
