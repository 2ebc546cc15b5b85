"""History through the same road: files in, assessments or features out, a snapshot of the state on request.

A row passes `mapping` (what columns mean), `source` (files to batches), `order` (the order of inputs, in bounded
memory), `told` (labels and outcomes, when they arrive), `program` (the engine that takes it), and `parts` (what is
written, so that it can be resumed); `job` is the walk itself. Rows move as Arrow; nothing here looks at one.
"""
