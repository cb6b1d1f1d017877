"""How good the reports are: metrics, baselines and intervals."""
