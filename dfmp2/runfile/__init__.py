"""The run file: one HDF5 file that a run can be killed over at any instant and continued from.

How it survives. Every dataset is contiguous and gets its place when the file is made, under another
name; the file appears under its own name complete (`file.RunFile.create`). From then on only the
values inside datasets change, never HDF5's own structures (but for a flag in the superblock, which
is written in one piece and is without effect): no instant of a crash, a kill or a full disk can
leave a file that HDF5 cannot read. What a block of values is worth is decided by
checksums: data are written first, then their checksum with the number of the session that made
them, and whatever does not match its checksum counts as never computed. Text that changes
(sessions, provenance, the result) lives in two halves of a journal that are written in turn.

`layout` names the datasets, `file` opens, locks and writes, `journal` keeps the text, `rows` the
rows of B, `pairs` the pair energies, `content` the reference and the result, `identity` what makes
two runs the same.
"""
