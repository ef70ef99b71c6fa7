"""What benchmarks and tests of whole processes share. Each of them imports it through a link named `harness`."""
