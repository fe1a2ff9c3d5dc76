"""Who may: rules, sessions, users and tokens, known to every plane."""
