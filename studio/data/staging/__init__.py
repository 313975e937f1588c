"""The one pass over the records: repaired, judged, marked and keyed, in ``stage.parquet``."""
