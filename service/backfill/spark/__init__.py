"""The same job on Apache Spark: each entity's part of the history folds on its own keys' rows, then rows are answered.

Features are functions of inputs only, and those over an entity read that entity's own history alone. So what follows
from the order of all rows is found first (which are repeated, which come too late, which sequence each takes); then
rows are brought to where their key is, one entity after the other, and what they have seen goes along with them; then
each part of the output is answered and written by whoever has its rows. The engine does all of it: its mapping, its
gate, its history, its answers. The bytes that are written are those of one machine.

Read `run.py`, then the others in the order in which it calls them: `pieces`, `gate`, `order`, `known`, `keys`, `write`.
"""

from service.backfill.spark.run import run as run
from service.backfill.spark.session import session as session
