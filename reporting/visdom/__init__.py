"""Live view: curves and images on a visdom server.

Start with `reporting.visdom.logger`; `reporting.visdom.server` runs a local server.
May import `reporting.history`, `reporting.logger` and ``util``.
"""
