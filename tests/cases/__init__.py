"""Tables of cases, and the harnesses that tests share."""
