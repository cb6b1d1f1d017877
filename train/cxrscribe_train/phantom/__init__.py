"""Radiograph phantoms: drawn chest films with known findings, and the reports that go with them."""
