"""Evaluations of a run: which protocols, on which layers."""
