"""Documents by topics and ratings by factors: how many of the generated ones are unrealistic."""
