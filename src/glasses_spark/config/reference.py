"""Reference: every key of the configuration, as Markdown."""

from __future__ import annotations

from typing import Final

from glasses_spark.config.config import SECTIONS, keys_of
from glasses_spark.config.toml_text import toml_text


def reference() -> str:
    """Return the reference of all keys as Markdown: the text of docs/configuration.md."""
    parts = [_REFERENCE_HEAD]
    for section, cls in SECTIONS.items():
        rows = [
            f"| `{section}.{name}` | {one.kind.wanted} | {one.unit or '-'} "
            f"| `{toml_text(default)}` | {one.meaning} |"
            for name, (one, default) in keys_of(cls).items()
        ]
        head = f"## {section}\n\n{cls.__doc__}\n\n"
        parts.append(
            head
            + "| Key | Value | Unit | Default | Meaning |\n| --- | --- | --- | --- | --- |\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


_REFERENCE_HEAD: Final = """\
# Configuration

Written from the source by `glasses_spark.config.reference`; a test checks that it is up to date.

A configuration is a TOML file, given with `--config FILE`, in which every key may be left out:

    [data]
    images = "faces"

    [training]
    epochs = 10

`--set section.key=value`, as often as needed, wins over the file. The value is TOML; a bare word
is taken as a text: `--set training.mode=hogwild --set 'training.metrics=["accuracy"]'`. Settings of
Spark go by their full names: `--set spark.conf.spark.executor.memory=4g`.

Unknown keys and bad values are refused before any work starts, all of them in one message.
Relative paths, in a file too, are relative to the current folder. The defaults are the settings of
the published experiment.
"""
