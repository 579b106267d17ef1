"""The README's examples run as printed, its commands are .ci/run's, and what it names exists."""

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_run():
    # The closing fence of Markdown is no output of the example.
    examples = doctest.DocTestParser().get_doctest(README.replace("```", ""), {}, "README.md", None, 0)
    assert len(examples.examples) >= 10
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples)
    assert runner.failures == 0


def test_ci_runs_the_two_commands_as_printed():
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("train.py")
    assert commands[1].endswith("pytest")
    assert 'command_of() { grep -m1 "^python3 -m venv.*$1\\$" README.md; }' in (ROOT / ".ci/run").read_text()


def test_links_lead_somewhere():
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for link in re.findall(r"\]\(([^)#]+)\)", page):
            assert link.startswith("http") or (ROOT / link).exists(), link
    for page in (ROOT / "docs").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), (page, link)
