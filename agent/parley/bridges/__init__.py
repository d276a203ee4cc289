"""One file per kind of bridge; each runs over ports, with no LiveKit and no socket of its own."""
