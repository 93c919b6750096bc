"""Campaigns: cells from axes, what of them is measured, the journal, tables of results."""
