"""The drivers beside a naive model of them: every answer, counter and level is predicted, step by step."""
