"""A policy on a recording: what it would have done, beside what was done."""
