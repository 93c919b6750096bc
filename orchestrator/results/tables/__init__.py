"""The results store: tables that others published and runs of ours, brought into one form and asked with SQL."""
