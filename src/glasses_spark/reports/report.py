"""Report of a run, as one self-contained HTML page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.columns import TEST
from glasses_spark.reports.gallery import Gallery
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.training import learning_plots, worker_plots
from glasses_spark.reports.report_faces import gallery_sections
from glasses_spark.reports.report_metrics import (
    confusion_section,
    curves_section,
    metrics_section,
    thresholds_section,
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
from glasses_spark.reports.template import render_template

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


def render_report(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    quarantine: Sequence[tuple[str, str, str]],
    config: str,
    *,
    curves: Mapping[str, Curves] | None = None,
    gallery: Gallery | None = None,
) -> str:
    """Render the report of a run.

    Args:
        metrics: Contents of ``metrics.json``.
        history: Contents of ``history.json``.
        quarantine: Path, reason and detail of each quarantined image.
        config: The configuration as TOML.
        curves: Curves by part, ``test`` among them; None omits them.
        gallery: Faces of the test set; None omits them.

    Returns:
        HTML that loads no external resource and runs no script. External text, such as file
        names, is escaped.

    Raises:
        SetupError: Jinja2 or matplotlib is not installed.
    """
    settings = tomllib.loads(config)
    return render_template(
        "report.html.j2",
        contents=_CONTENTS,
        titles=dict(_CONTENTS),
        lead=lead_text(metrics[TEST]),
        summary=summary_text(settings),
        cards=list(metric_cards(metrics)),
        comparison=comparison_text(metrics["data"]),
        metrics=metrics_section(metrics),
        confusion=confusion_section(metrics[TEST]),
        thresholds=thresholds_section(metrics.get("thresholds")),
        learning=learning_section(history),
        workers=workers_section(history, settings),
        curves=curves_section(curves, metrics),
        galleries=[*gallery_sections(gallery)],
        images=images_table(metrics["data"], metrics.get("quarantine", {})),
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
