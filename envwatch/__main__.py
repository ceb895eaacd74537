"""`python -m envwatch`."""

from envwatch.cli import main

if __name__ == "__main__":
    main()
