"""Following a run: its history, curves, pictures, loggers, time left and summary.

Nothing here decides how a stage trains; the run hands over plain values and may leave any part out.
"""
