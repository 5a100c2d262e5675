"""Rollouts, statistics and reports: what a policy did, and how well."""
