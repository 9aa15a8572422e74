"""Tests of aiotun.queueing, one file per module."""
