"""What the known forms are, what their columns are called, and what stands in them. ``studio.data.shape`` is the way in.

Guarantees: recognition reads names and a few hundred sampled values, never a file; it proposes, and no row is judged here.
"""
