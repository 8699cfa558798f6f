"""What the connectors of files share: which files a run reads, and a folder of parts that commits like a table.

listing.py   which files are new, pinned so that they can be read again
storage.py   where a dataset lies: a folder, or a prefix in S3 (s3_storage.py)
log.py       the numbered log in `_arrowload/log`: one entry is one commit
dataset.py   a folder of parts with its log: who holds the fence, which files are live
writer.py    stages the parts of one load and commits them
destination.py   the destination that csv and parquet are, given their part writers
"""
