"""HTML pages: the page of a training run and the page of the results of ``test.py``.

Start with `reporting.html.training_page` and `reporting.html.results_page`; styles and scripts are
in ``assets/``. May import `reporting.history`, `reporting.logger`, ``distributed`` and ``util``.
"""
