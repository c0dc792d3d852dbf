"""Report: what a run has brought, as one page that needs nothing else to be read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.reports.gallery import Gallery
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.palette import DARK, LIGHT
from glasses_spark.reports.plots.plot import Plot, inline_svg
from glasses_spark.reports.plots.training import learning_plots, worker_plots
from glasses_spark.reports.report_faces import gallery_sections
from glasses_spark.reports.report_metrics import (
    confusion_section,
    curves_section,
    metrics_table_rows,
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
    cards_html,
    comparison_section,
    lead_text,
    summary_text,
)

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves


def render_report(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    quarantine: Sequence[tuple[str, str]],
    config: str,
    *,
    curves: Mapping[str, Curves] | None = None,
    gallery: Gallery | None = None,
) -> str:
    """Make the page.

    Args:
        metrics: What ``metrics.json`` holds.
        history: What ``history.json`` holds.
        quarantine: Path of each image that was put aside, and why.
        config: The configuration as TOML.
        curves: Curves by the name of their part, ``test`` among them; None leaves them out.
        gallery: Faces of the test part to look at; None leaves them out.

    Returns:
        HTML that loads nothing and runs no script. Whatever comes from outside,
        such as a file's name, is shown as text.
    """
    # Imported here: only who writes a page needs it.
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
    # What is drawn here, with all text in it escaped, may stand as it is.
    environment.filters["svg"] = lambda plot: Markup(inline_svg(plot))
    settings = tomllib.loads(config)
    return environment.get_template("report.html.j2").render(
        light=asdict(LIGHT),
        dark=asdict(DARK),
        contents=_CONTENTS,
        lead=lead_text(metrics["test"]),
        summary=summary_text(settings),
        cards=list(cards_html(metrics)),
        comparison=comparison_section(metrics["data"]),
        figures=metrics_table_rows(metrics),
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


def report_plots(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    curves: Mapping[str, Curves] | None = None,
) -> list[Plot]:
    """Return the plots of the page, in its order, to be written as files.

    Args:
        metrics: What ``metrics.json`` holds.
        history: What ``history.json`` holds.
        curves: Curves by the name of their part; None leaves them out.
    """
    return [
        *learning_plots(history),
        *worker_plots(history),
        *(curve_plots(curves, metrics) if curves else []),
    ]


_CONTENTS: Final = (
    ("verdict", "Verdict"),
    ("confusion", "Right and wrong"),
    ("learning", "Learning"),
    ("workers", "Workers"),
    ("curves", "Ranking and trust"),
    ("mistakes", "Worst mistakes"),
    ("uncertain", "Least certain"),
    ("images", "Images"),
    ("time", "Time"),
    ("origin", "Origin"),
    ("configuration", "Configuration"),
)
