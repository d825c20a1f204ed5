"""Shared by the tests: images, commands in and out of this process, tables of bad input."""
