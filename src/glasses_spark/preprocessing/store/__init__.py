"""Pixel store: decoded pixels kept between runs, in Parquet."""
