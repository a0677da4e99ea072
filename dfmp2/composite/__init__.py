"""Several calculations that belong together.

Molecules come in. Their results go out, also where some of them fail.
"""
