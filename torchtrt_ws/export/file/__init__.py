"""The bytes of a .pte: laid out, and written so that nothing is lost."""
