"""``python -m divjax`` is the command line."""

from divjax.cli import main

main()
