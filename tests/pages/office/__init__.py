"""A Django app whose pages need Django: viewers, rules, transactions."""
