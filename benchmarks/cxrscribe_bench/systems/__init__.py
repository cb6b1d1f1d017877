"""The programs that are measured: ours, and the peers."""
