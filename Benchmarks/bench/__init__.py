"""The measurements of `make bench`. Start reading at sale.py."""
