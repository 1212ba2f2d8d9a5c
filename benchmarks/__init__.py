"""Measurements: each module prints the tables that the documents quote."""
