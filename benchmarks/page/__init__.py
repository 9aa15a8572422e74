"""The page of results, made from the JSON alone: a table of goals, and of each question its tables and its plot."""

from page.markdown import write_page

__all__ = ["write_page"]
