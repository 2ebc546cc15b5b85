"""`python -m service` is `fraudgate`."""

from service.cli import main

main(prog_name="fraudgate")
