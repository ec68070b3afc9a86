"""The loop that every training runs in, and its state: steps, schedules, files, interruptions, what is told."""
