"""The pocket picture world: coloured shapes whose pictures have known contents."""
