"""Many processes, with Ray and without."""
