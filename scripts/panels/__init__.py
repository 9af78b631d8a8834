"""Whether every panel of every dashboard moves while the service works: `python3 -m panels` in scripts."""
