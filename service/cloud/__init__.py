"""The cloud behind the edge: what a PoP could not answer in full, or is not sure of, is scored again by the teacher.

In the order in which a batch passes: `kafka` reads messages, `columns` lays them out, `teacher` scores, `columns` again
says what came of it, `kafka` publishes that, and `lake` keeps the rows for training. `rescorer` is the walk itself.
What cannot wait for a batch is asked over gRPC, and `asked` answers it by the same teacher.
"""
