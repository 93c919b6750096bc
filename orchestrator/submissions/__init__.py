"""Submissions: a tree listed and read, the rules of its round over what was read, the rows of its summary.

`check.check_tree` is the whole of it. Nothing in a tree is followed, run or trusted: `tree` lists it, `reading`
opens regular files only, and whatever cannot be read becomes a value with its reason, of which a rule makes a finding.
"""
