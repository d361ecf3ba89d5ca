"""What proofs are run against, too, to show what they find: written by us in the way of tutorials."""
