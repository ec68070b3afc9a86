"""Networks that take noise away: the prior step."""
