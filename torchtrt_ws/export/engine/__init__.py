"""An engine to be saved: what it is, where its bytes are, and its blob."""
