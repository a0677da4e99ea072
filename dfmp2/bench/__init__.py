"""Time dfmp2 beside other programs.

A molecule and a list of programs come in. Run times, ratios and GEMM rates go out.
"""
