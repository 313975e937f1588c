"""The embedded engine: a server that speaks the Tinker protocol to the unmodified SDK, in a process of its own.

``launch`` starts it as a child and needs neither torch nor FastAPI; everything else is imported only inside that process.

    launch ─► __main__ ─► server (HTTP) ─► service (sessions, runs, samplers) ─► scheduler (one compute thread)
                                             │                                      ├─ trainer  ─ losses, scoring, prefixes
                                             └─ checkpoints (disk)                  ├─ sampler  ─ choosing, decoding
                                                                                    └─ base (model + adapters) ─ fit
"""
