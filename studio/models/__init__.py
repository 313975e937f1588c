"""Which models there are, what is known about each, and where that knowledge comes from.

Guarantees: importing this room is light (no torch, transformers or tinker); every fact has a date and a source; nothing is
looked up on the network. Only ``register_with_cookbook`` touches the cookbook, and only when it is called.
"""

from __future__ import annotations

from studio.models.choosing import ARCHITECTURES, KINDS, SIZES, Aim, Architecture, Size, Start, search, start_here
from studio.models.cookbook import register_with_cookbook
from studio.models.lineup import Family, Kind, Measured, MeasuredMethod, Model, catalogue, everything, get, nano_folder, nano_in
from studio.models.prices import Price

__all__ = [
    "ARCHITECTURES",
    "KINDS",
    "SIZES",
    "Aim",
    "Architecture",
    "Family",
    "Kind",
    "Measured",
    "MeasuredMethod",
    "Model",
    "Price",
    "Size",
    "Start",
    "catalogue",
    "everything",
    "get",
    "nano_folder",
    "nano_in",
    "register_with_cookbook",
    "search",
    "start_here",
]
