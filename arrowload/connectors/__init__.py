"""Systems that rows come from and go to: one folder each, registered under its name."""
