"""One process of one service: what is brought up in which order, and how it is drained."""
