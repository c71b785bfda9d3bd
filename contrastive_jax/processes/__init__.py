"""Several processes of one run: how they meet, agree, are watched and leave.

Imports: errors, parallel.
"""
