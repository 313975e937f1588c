"""The data step's markup: every module here is a pure function from plain values to ``Html``, and knows no Gradio and no store.

view      what the visitor looks at, as it stands in the address
screen    everything the step shows, as one value          words     numbers, lines and parts in words
bring     bringing data          working   while it is read           mapping   which column is what
division  the three parts        rows, findings, seen, figures, record   one module for each tab
"""

from __future__ import annotations
