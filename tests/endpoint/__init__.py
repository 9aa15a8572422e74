"""Tests of aiotun.endpoint, one file per module; fakes.py has the port they stand on."""
