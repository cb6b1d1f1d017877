"""`cxrscribe serve` under load and under attack: processes, clients and what is counted on both sides."""
