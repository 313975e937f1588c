"""Runs: a process per job, its supervisor, and what a page may read about it.

``launch`` records a run, ``supervisor`` starts, stops and resumes processes, ``worker`` is the process that trains, ``desk`` is
what every job's process does around its work, ``progress`` reads a run's files. Guarantees: a job outlives the studio that
started it; its state is in the store and its numbers are in its folder; no secret is in an argument list, a file or a log.
"""
