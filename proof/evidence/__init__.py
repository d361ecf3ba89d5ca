"""What a provider says, and what may be concluded from it: scenes with one fault each, on the whole product."""
