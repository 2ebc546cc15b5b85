"""Train, distil, export, certify and calibrate the models that the engine serves.

In the order of the road: training_set, spec, teacher, student (leaf_grid), export, certify (ensemble, scorer),
calibrate (table), manifest; train.py walks it, prequential, evaluate and select judge it.
"""
