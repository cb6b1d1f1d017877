"""The Paddle networks: backbone, encoder and report decoder, and nothing else."""

from cxrscribe_models.backbone import Backbone, backbone_names, build_backbone
from cxrscribe_models.context import ReportContext
from cxrscribe_models.decoder import ReportDecoder
from cxrscribe_models.encoder import FilmEncoder

__all__ = ["Backbone", "FilmEncoder", "ReportContext", "ReportDecoder", "backbone_names", "build_backbone"]
