"""What Tests/Reliability/run consists of."""
