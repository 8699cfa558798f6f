"""What happens to rows on the way: one step a file, its config Struct beside its code."""
