"""The rows of the two drivers' tables: every behaviour of the C functions, through the host a user has."""
