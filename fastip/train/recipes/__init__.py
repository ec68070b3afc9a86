"""The trainings of what is shipped, each with all its settings."""

from .recipes import RECIPES as RECIPES
from .recipes import task as task
