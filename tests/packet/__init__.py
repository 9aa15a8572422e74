"""Tests of aiotun.packet, one file per module, and test_malformed.py for the catalogue of bad input."""
