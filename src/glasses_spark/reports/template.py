"""HTML pages from the Jinja2 templates of this package."""

from __future__ import annotations

from typing import Any

from glasses_spark.extras import require_extra
from glasses_spark.notebook_html import number
from glasses_spark.printable import printable_text
from glasses_spark.reports.plots.palette import DARK, LIGHT, SERIES
from glasses_spark.reports.plots.plot import inline_svg


def require_report_packages() -> None:
    """Check that the packages which write pages are installed.

    Raises:
        SetupError: Jinja2 or matplotlib is not installed; the message names the extra.
    """
    for module in ("jinja2", "matplotlib"):
        require_extra(module, extra="report", purpose="an HTML report")


def render_template(name: str, **values: Any) -> str:
    """Render a page.

    Args:
        name: File name of the template. Its filters are ``number`` for values and ``svg`` for
            plots; ``light``, ``dark`` and ``series`` are the colours of the plots.
        values: Further values of the template. Text is escaped.

    Raises:
        SetupError: As for `require_report_packages`.
    """
    require_report_packages()
    # Imported here, because Jinja2 is part of an extra.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("glasses_spark", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    # Safe as markup: `inline_svg` escapes all text.
    environment.filters["svg"] = lambda plot: Markup(inline_svg(plot))
    page: str = environment.get_template(name).render(
        light=LIGHT, dark=DARK, series=SERIES, **values
    )
    return page


def _printable(value: Any) -> Any:
    # Markup is the package's own, or escaped already.
    return printable_text(value) if type(value) is str else value
