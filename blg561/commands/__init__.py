"""The commands of `python -m blg561`, a module each.

A module's `add_to(add)` describes a command to argparse, and the function beside it carries it out
and returns the exit code. PyTorch is imported within the functions that need it, so that help and
`books` come at once.
"""
