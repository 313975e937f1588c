"""Tuning Fork's domain: from a file of examples to a verdict that can be trusted.

Nothing in this package imports gradio. Everything the pages can do is a function here, and a verb of ``tuning-fork``.
"""

__version__ = "0.1.0"
