"""The same training with other settings, again and again, and which of them are best."""
