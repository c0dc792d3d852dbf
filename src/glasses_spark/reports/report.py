"""Report of a run, as one self-contained HTML page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.extras import require_extra
from glasses_spark.reports.gallery import Gallery
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.palette import DARK, LIGHT
from glasses_spark.reports.plots.plot import Plot, inline_svg
from glasses_spark.reports.plots.training import learning_plots, worker_plots
from glasses_spark.reports.report_faces import gallery_sections
from glasses_spark.reports.report_metrics import (
    confusion_section,
    curves_section,
    metrics_section,
    thresholds_section,
    value_text,
)
from glasses_spark.reports.report_origin import (
    MAX_QUARANTINED,
    images_table,
    origin_section,
    quarantine_caption,
    time_table,
)
from glasses_spark.reports.report_training import learning_section, workers_section
from glasses_spark.reports.report_verdict import (
    comparison_text,
    lead_text,
    metric_cards,
    summary_text,
)

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves

# Anchors and titles of the sections, in order.
_CONTENTS: Final = (
    ("result", "Result"),
    ("confusion", "Confusion matrix"),
    ("learning", "Learning curves"),
    ("workers", "Workers"),
    ("curves", "Ranking and calibration"),
    ("mistakes", "Most confident errors"),
    ("uncertain", "Least certain predictions"),
    ("images", "Images"),
    ("time", "Run time"),
    ("origin", "Provenance"),
    ("configuration", "Configuration"),
)


def require_report_packages() -> None:
    """Check that the packages which write a report are installed.

    Raises:
        SetupError: Jinja2 or matplotlib is not installed; the message names the extra.
    """
    for module in ("jinja2", "matplotlib"):
        require_extra(module, extra="report", purpose="the report")


def render_report(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    quarantine: Sequence[tuple[str, str]],
    config: str,
    *,
    curves: Mapping[str, Curves] | None = None,
    gallery: Gallery | None = None,
) -> str:
    """Render the report of a run.

    Args:
        metrics: Contents of ``metrics.json``.
        history: Contents of ``history.json``.
        quarantine: Path and reason of each quarantined image.
        config: The configuration as TOML.
        curves: Curves by part, ``test`` among them; None omits them.
        gallery: Faces of the test set; None omits them.

    Returns:
        HTML that loads no external resource and runs no script. External text, such as file
        names, is escaped.

    Raises:
        SetupError: Jinja2 or matplotlib is not installed.
    """
    require_report_packages()
    settings = tomllib.loads(config)
    page: str = (
        _environment()
        .get_template("report.html.j2")
        .render(
            light=asdict(LIGHT),
            dark=asdict(DARK),
            contents=_CONTENTS,
            titles=dict(_CONTENTS),
            lead=lead_text(metrics["test"]),
            summary=summary_text(settings),
            cards=list(metric_cards(metrics)),
            comparison=comparison_text(metrics["data"]),
            metrics=metrics_section(metrics),
            confusion=confusion_section(metrics["test"]),
            thresholds=thresholds_section(metrics.get("thresholds")),
            learning=learning_section(history),
            workers=workers_section(history, settings),
            curves=curves_section(curves, metrics),
            galleries=[*gallery_sections(gallery)],
            images=images_table(metrics["data"]),
            quarantine={
                "caption": quarantine_caption(len(quarantine)),
                "rows": quarantine[:MAX_QUARANTINED],
            },
            time=time_table(metrics["timings"]),
            origin=origin_section(metrics, settings),
            settings=config.strip().split("\n\n") if config.strip() else [],
        )
    )
    return page


def report_plots(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    curves: Mapping[str, Curves] | None = None,
) -> list[Plot]:
    """Return the plots of the report, in its order, to be written as files.

    Args:
        metrics: Contents of ``metrics.json``.
        history: Contents of ``history.json``.
        curves: Curves by part; None omits them.
    """
    return [
        *learning_plots(history),
        *worker_plots(history),
        *(curve_plots(curves, metrics) if curves else []),
    ]


def _environment() -> Any:
    # Imported here, because Jinja2 is part of an extra.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("glasses_spark", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = value_text
    # Safe as markup: `inline_svg` escapes all text.
    environment.filters["svg"] = lambda plot: Markup(inline_svg(plot))
    return environment
