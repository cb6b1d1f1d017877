"""Whether graphs give what Paddle gives: numbers, and whole searches."""
