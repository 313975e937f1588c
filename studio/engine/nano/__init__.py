"""``nano``: a small base model of our own, made from nothing by ``python -m studio.engine.nano build``.

Guarantees: text, tokenizer and starting weights follow from one seed; no text of anybody else goes in.
"""
