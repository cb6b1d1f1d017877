"""Processes of their own, timed in turn, and their memory."""
