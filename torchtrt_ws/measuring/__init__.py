"""Measure a program over its budgets."""
