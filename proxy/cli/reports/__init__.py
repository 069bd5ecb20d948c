"""Report formats: one result, written as text, JSON, JUnit, SARIF, GitHub annotations or Markdown.

A command builds a `Report` and hands it to `emit`; `add_output_option` gives it `--output FORMAT[=FILE]`.
What a format shows never changes the exit code.
"""

from proxy.cli.reports.emit import add_output_option, emit
from proxy.cli.reports.model import Case, Problem, Report, RuleText

__all__ = ["Case", "Problem", "Report", "RuleText", "add_output_option", "emit"]
