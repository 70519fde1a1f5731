"""`python -m server` is `frontdesk`."""

from server.cli import main

main()
