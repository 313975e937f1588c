"""From staged rows to train, validation and test: placed, cut, sealed, read again, mixed, and described in a card."""
