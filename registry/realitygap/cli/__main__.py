"""`python -m realitygap.cli` is `skills`."""

from realitygap.cli import main

main()
