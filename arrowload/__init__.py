"""Load data: fast, exact, nothing lost and nothing twice."""
