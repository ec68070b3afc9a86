"""Networks that stand for (beta I + A A^T)^-1, learned from noise."""
