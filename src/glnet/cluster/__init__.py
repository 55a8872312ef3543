"""Prediction beyond one process: an executor on Ray (the extra ``ray``)."""
