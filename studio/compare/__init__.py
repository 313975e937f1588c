"""Base against tuned: the stored answers, the blind rating of them, and what can honestly be said afterwards.

``generate`` and ``answers_job`` make and store the answers, ``blind`` runs the rating sessions, ``verdict`` turns votes into
a conclusion that stays valid however often it is looked at, ``recompute`` does the same from an exported file alone, and
``measures`` counts what a program can count. All that a verdict rests on is a ``record``. What computes from it (``votes``,
``evidence``, ``reference``, ``resampling``, ``slices``, ``lengths``, ``strengths``, ``gold``, ``planning``) or speaks of it
(``sentences``, ``paragraph``) is pure: values in, values out. So are ``verdict`` and ``measures``.
"""
