"""What `make bench` measures, and how. Begin with sale.py."""
