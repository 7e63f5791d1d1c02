"""The measurements of tools/bench, by what they are about. docs/performance.md says what
each row means."""
