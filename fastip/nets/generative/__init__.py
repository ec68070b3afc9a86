"""Generators and what is trained with them: encoders, projectors, discriminators."""
