"""Tests of aiotun.host, one file per module."""
