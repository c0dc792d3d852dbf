"""Store of decoded pixels in Parquet, which later runs reuse."""
