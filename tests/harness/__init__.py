"""What the tests of hostile cases are made of; see tests/cases/README.md."""
