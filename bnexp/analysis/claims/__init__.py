"""The claims of the paper as data, each with the function that judges it."""
