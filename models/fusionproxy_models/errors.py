"""The one exception that the command line turns into a single line."""


class UserError(Exception):
    """Something the user can put right; the message names the thing and the remedy."""
