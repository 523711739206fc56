"""How well steering by embeddings does what it is for."""
