"""The paper's whole experiment in one run folder, from one small config file."""
