"""An empty configuration of PySCF. `dfmp2.cli.configuration` lets PySCF read it."""
