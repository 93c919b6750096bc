"""What breaks a rule and can be mended without a question: planned, shown, carried out and recorded."""
