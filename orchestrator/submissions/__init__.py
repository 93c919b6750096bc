"""Submissions to MLPerf Inference: trees built from results (`build/`), and trees checked by the rules of a round.

`check.check_tree` is the whole of the check. Nothing in a tree is followed, run or trusted: `tree` lists it, `reading`
opens regular files only, and whatever cannot be read becomes a value with its reason, of which a rule makes a finding.
"""
