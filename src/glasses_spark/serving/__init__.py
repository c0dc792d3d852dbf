"""Serving: a model that scores photographs over HTTP."""
