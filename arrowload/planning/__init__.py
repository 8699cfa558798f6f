"""What will be done, as plain data: looks nothing up and opens nothing."""
