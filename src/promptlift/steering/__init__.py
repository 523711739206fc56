"""Moving a picture by its prompt's embedding, and a way back to words."""
