"""One calculation from its settings to its result.

Settings and a molecule or a reference come in. A `Result` goes out. Run files are opened,
continued or refused here.
"""
