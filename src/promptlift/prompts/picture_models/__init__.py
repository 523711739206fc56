"""Picture models: what each of them reads, in which form, and how much of it."""
