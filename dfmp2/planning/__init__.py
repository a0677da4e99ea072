"""Sizes become block sizes and forecasts of memory, disk and work.

Pure functions: nothing is computed or allocated here. `dfmp2 plan` prints what they return.
"""
