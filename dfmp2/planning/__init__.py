"""Block sizes, and forecasts of memory, disk and work.

The sizes of a run and a memory limit come in. A `Plan` goes out. Nothing is computed or allocated
here. `dfmp2 plan` prints the plan, and a run uses it.
"""
