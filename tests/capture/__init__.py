"""Tests of aiotun.driver, one file per module."""
