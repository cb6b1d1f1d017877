"""Reports as DICOM structured reports: drafts that stand beside the film in a PACS."""
