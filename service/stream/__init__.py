"""The stream door: records of topics to the engine, decisions and dead letters to topics, in the scorer's own process.

`worker` runs it. In the order in which a record passes: `lease` says whether this worker is the PoP's, `application`
hosts with Faust what takes in, `intake` hands transactions over in bulk, the engine journals them, and `outlet`
produces what the journal says. Nothing here knows how far it came: the journal does.
"""
