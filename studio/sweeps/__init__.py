"""Sweeps: several runs that differ in a few settings, made to find out which settings are best.

``plan`` says what is varied and how far the search may go, ``price`` what it may cost, ``launch`` records it, ``job`` is the
process that makes the trials, ``search`` asks Optuna what to try and what is hopeless, ``standing`` reads how it stands.
Guarantees: a trial is an ordinary run; limits on trials and cost are never passed; a sweep survives the studio, can be stopped
and goes on where it was; importing this room is light.
"""
