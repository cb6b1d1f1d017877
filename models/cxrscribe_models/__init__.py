"""The Paddle networks: backbone, encoder and report decoder, and nothing else."""

import warnings

# Paddle's own remarks, of no use to the user of a command: one at import, one at each step of batch norm.
for remark in ("No ccache found", "When training, we now always track global mean"):
    warnings.filterwarnings("ignore", message=remark, category=UserWarning)

from cxrscribe_models.backbone import Backbone, backbone_names, build_backbone  # noqa: E402
from cxrscribe_models.decoder import ReportDecoder  # noqa: E402
from cxrscribe_models.encoder import FilmEncoder  # noqa: E402

__all__ = ["Backbone", "FilmEncoder", "ReportDecoder", "backbone_names", "build_backbone"]
