"""What every report says of itself wherever it leaves the system."""

DISCLAIMER = "Draft text made by a computer program. Not for diagnostic use. To be reviewed by a radiologist."
