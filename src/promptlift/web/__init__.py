"""The door for browsers: servers that call the same functions as the command line."""
