"""`mlorch campaign`: which cells there are and which are measured, running what is left, tables of what was found."""
