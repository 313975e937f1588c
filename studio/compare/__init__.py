"""Base against tuned: the stored answers, the blind rating of them, and what can honestly be said afterwards.

``generate`` and ``answers_job`` make and store the answers, ``blind`` runs the rating sessions, ``verdict`` turns votes into
a conclusion that stays valid however often it is looked at, and ``measures`` counts what a program can count. ``votes``,
``evidence``, ``reference``, ``resampling``, ``sentences``, ``verdict`` and ``measures`` are pure: values in, values out.
"""
