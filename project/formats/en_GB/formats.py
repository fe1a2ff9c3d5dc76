"""Times as the whole site shows them: short, on a 24-hour clock."""

DATETIME_FORMAT = "j M Y, H:i"
TIME_FORMAT = "H:i"
