"""Where containers start: on this machine now, clusters later."""
